"""Published facts about models against the catalogue's; what a person has set is left alone.

A model remembers what the last import wrote to it (`Model.imported_facts`). A value that differs
from that was changed by hand, and so was one that no import wrote. Agreement counts as written:
from then on the value follows the source.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Any

from django.db import transaction
from msgspec import Struct

from providers.models import Capability, Model
from runestone.lib.published import PublishedModel, Source

_MODES = {
    "chat": (Capability.CHAT, Capability.STREAMING),
    "completion": (Capability.COMPLETION, Capability.STREAMING),
    "embedding": (Capability.EMBEDDINGS,),
    "moderation": (Capability.MODERATION,),
}
_FLAGS = {
    "tools": Capability.TOOLS,
    "parallel_tools": Capability.PARALLEL_TOOLS,
    "vision": Capability.VISION,
    "audio_in": Capability.AUDIO,
    "pdf": Capability.PDF,
    "json_schema": Capability.JSON_SCHEMA,
    "reasoning": Capability.REASONING,
    "prompt_cache": Capability.PROMPT_CACHE,
    "web_search": Capability.WEB_SEARCH,
}
_SOURCE = "source"


class Verdict(StrEnum):
    AGREES = "agrees"
    CHANGES = "changes"
    BY_HAND = "set by hand"


class Finding(Struct, frozen=True):
    """One field of a model beside what is published of it."""

    field: str
    present: Any
    published: Any
    verdict: Verdict


class Facts(Struct, frozen=True):
    """What a source publishes of a model, by the catalogue's fields, and why some is left out."""

    fields: dict[str, Any]
    doubts: list[str]
    origin: str


def published_for(source: Source, model: Model, vendors: Mapping[str, str]) -> Facts | None:
    """The facts of `model` under its own name at its owner, or else as its first route has it."""
    for provider, name in _names(model, vendors):
        published = source.model(provider, name)
        if published is not None:
            return _facts(published, f"{source.title}: {provider}/{name}")
    return None


def findings(model: Model, facts: Facts) -> list[Finding]:
    return [_finding(model, field, value) for field, value in facts.fields.items()]


@transaction.atomic
def apply(model: Model, facts: Facts, *, force: bool) -> None:
    """Writes what differs, except what was set by hand; with `force` that, too."""
    locked = Model.objects.select_for_update().get(pk=model.pk)
    written = dict(locked.imported_facts)
    for finding in findings(locked, facts):
        if finding.verdict != Verdict.BY_HAND or force:
            setattr(locked, finding.field, finding.published)
            written[finding.field] = _plain(finding.published)
            written[_SOURCE] = facts.origin
    locked.imported_facts = written
    locked.save(update_fields=[*facts.fields, "imported_facts"])


def _names(model: Model, vendors: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield model.owned_by, model.name
    for route in model.routes.order_by("priority", "id").select_related("upstream"):
        slug = route.upstream.slug
        yield vendors.get(slug, slug), route.upstream_model


def _facts(published: PublishedModel, origin: str) -> Facts:
    said = published.facts
    doubts = []
    fields: dict[str, Any] = {
        "family": said.family,
        "capabilities": _capabilities(said.mode, said.flags),
        "context_window": said.context_window,
        "max_output_tokens": said.max_output_tokens,
        "retires": said.retires,
    }
    if said.context_window and (said.max_input_tokens or 0) > said.context_window:
        del fields["context_window"]
        doubts.append(
            f"a window of {said.context_window:,} tokens, but {said.max_input_tokens:,} of input"
        )
    if said.mode and said.mode not in _MODES:
        doubts.append(f"mode {said.mode} is nothing that is served here")
    known = {field: value for field, value in fields.items() if value}
    return Facts(known, doubts, origin)


def _capabilities(mode: str, flags: Iterable[str]) -> list[str]:
    """In order of name; none where the source does not say what the model is for."""
    kinds = _MODES.get(mode, ())
    found = {*kinds, *(_FLAGS[flag] for flag in flags if flag in _FLAGS)} if kinds else set()
    return sorted(capability.value for capability in found)


def _finding(model: Model, field: str, published: Any) -> Finding:
    present = getattr(model, field)
    if field == "capabilities":
        present = sorted(present)
    if present == published:
        verdict = Verdict.AGREES
    elif field in model.imported_facts:
        is_untouched = _plain(present) == model.imported_facts[field]
        verdict = Verdict.CHANGES if is_untouched else Verdict.BY_HAND
    else:
        verdict = Verdict.BY_HAND if present else Verdict.CHANGES
    return Finding(field, present, published, verdict)


def _plain(value: Any) -> Any:
    """As JSON keeps it."""
    return value.isoformat() if isinstance(value, date) else value
