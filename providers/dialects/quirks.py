"""How one vendor departs from its dialect: data of its upstream row, never code."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import urlencode

import msgspec

from providers.dialects.unsupported import unsupported

_null = msgspec.Raw(b"null")


class Mend(StrEnum):
    """What a vendor's answers need before an official SDK can read them; see `mending.py`."""

    CONTENT = "content"  # content in parts, thinking among them, becomes text
    ROLES = "roles"  # the role is told once a choice, with its first piece
    TOOL_CALLS = "tool_calls"  # each tool call has its index and type; id and name come once
    USAGE = "usage"  # usage comes in a last chunk without choices, if it was asked for


_NOTHING: Mapping[str, str] = MappingProxyType({})


class Quirks(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields are named as the dialect's own wire names them."""

    # Refused with a 400 that names the field: the vendor cannot do it, and silence would mislead.
    refuse_fields: frozenset[str] = frozenset()
    # Left out: the vendor does not know it, and the answer is right without it.
    drop_fields: frozenset[str] = frozenset()
    # Sent under the vendor's own name: {"max_completion_tokens": "max_tokens"}.
    rename_fields: dict[str, str] = {}
    # Sent with every request: {"HTTP-Referer": "https://example.com"}.
    headers: dict[str, str] = {}
    # Added to every URL: {"api-version": "2025-01-01-preview"}.
    query: dict[str, str] = {}
    # Of its answers. Any costs the parsing of every event; without any, bytes pass untouched.
    mend: frozenset[Mend] = frozenset()
    # Reasons to finish that OpenAI does not know, and what they mean: {"eos": "stop"}.
    finish_reasons: dict[str, str] = {}

    @property
    def mends_answers(self) -> bool:
        return bool(self.mend or self.finish_reasons)

    def url(self, url: str, defaults: Mapping[str, str] = _NOTHING) -> str:
        """With the vendor's query, and those of `defaults` that it does not name."""
        query = {**defaults, **self.query}
        return f"{url}?{urlencode(query)}" if query else url


NO_QUIRKS = Quirks()


def fitted(fields: dict[str, msgspec.Raw], quirks: Quirks) -> dict[str, msgspec.Raw]:
    """A request's fields as the vendor takes them. Raises BadRequest for what it cannot do."""
    for name in fields:
        if name in quirks.refuse_fields and fields[name] != _null:
            raise unsupported(name, f"'{name}'")
    left_out = quirks.refuse_fields | quirks.drop_fields
    return {
        quirks.rename_fields.get(name, name): value
        for name, value in fields.items()
        if name not in left_out
    }
