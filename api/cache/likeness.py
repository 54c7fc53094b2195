"""Which calls are the same: those that one answer fits, word by word.

All that a request says counts, known to us or not, but for a name of the caller's own for it. So do
the ways that it can go: an answer comes back only while its caller could still be sent for it.
"""

import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from api.question import Question

# What changes nothing in an answer, or is told by the ways and by the form of the answer.
_LEFT_OUT = frozenset({"request_id", "tenant_id", "model", "stream"})


def digest(question: Question, secret: bytes) -> str | None:
    """64 hex digits; None for a call whose like cannot be told, or which can go nowhere.

    Under a secret, for whoever sees names in Redis must not be able to try out guessed prompts.
    """
    caller, asked = question.caller, question.asked
    ways = sorted(
        (target.upstream, target.base_url, target.upstream_model, option.model.name)
        for option in question.options
        if (target := option.target).serves(caller.tenant_id)
    )
    if not ways:
        return None
    try:
        said = [
            caller.tenant_id,
            asked.operation.path,
            asked.request.streams,
            caller.max_output_tokens,
            ways,
            _meant(asked.fields),
            None if asked.native is None else _meant(asked.native),
        ]
        text = msgspec.json.encode(said, order="sorted")
    except (msgspec.DecodeError, RecursionError):
        # JSON that no parser needs to understand: a number like 1e999, say, in an unknown field.
        return None
    return hmac.digest(secret, text, "sha256").hex()


def _meant(fields: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Without white space and order; what is null is as good as not there."""
    meant = {
        name: msgspec.json.decode(value) for name, value in fields.items() if name not in _LEFT_OUT
    }
    return {name: value for name, value in meant.items() if value is not None}
