"""How hard a model shall think, and what it thought, carried to the caller and back.

Thoughts ride on messages and deltas as `reasoning_content`, a plain text, and besides in
OpenRouter's `reasoning_details`, whose entries keep what Anthropic wants to see again as it was:

    {"type": "reasoning.text", "text", "signature", "format": "anthropic-claude-v1", "index"}
    {"type": "reasoning.encrypted", "data", "format": "anthropic-claude-v1", "index"}

A stream's entries of the same `index` are parts of one: texts append, and the signature comes last.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from providers.dialects.unsupported import unsupported

FORMAT = "anthropic-claude-v1"
TEXT, ENCRYPTED = "reasoning.text", "reasoning.encrypted"

# The least that Anthropic takes as a budget.
BUDGET_TOKENS_MIN = 1_024
# For models that want a budget of tokens. `/v1/messages` reads them the other way round.
_BUDGETS = {
    "minimal": BUDGET_TOKENS_MIN,
    "low": 4_096,
    "medium": 16_384,
    "high": 32_768,
    "xhigh": 65_536,
    "max": 65_536,
}
# Anthropic's efforts begin at low.
_EFFORTS = {"minimal": "low"}

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2})(?!\d))?")


class Way(Enum):
    """How a model is told to think."""

    NOT_AT_ALL = "not at all"
    BY_BUDGET = "by budget"
    BY_EFFORT = "by effort"


def way_of(model: str) -> Way:
    """By the version in the model's name; a name that has none is taken for a new model."""
    if (found := _VERSION.search(model)) is None:
        return Way.BY_EFFORT
    version = int(found[1]), int(found[2] or 0)
    if version < (3, 7):
        return Way.NOT_AT_ALL
    return Way.BY_BUDGET if version < (4, 6) else Way.BY_EFFORT


def effort_fields(effort: str, model: str, max_tokens: int) -> dict[str, Any]:
    """`reasoning_effort` in Anthropic's fields. Raises BadRequest if the model cannot think."""
    way = way_of(model)
    if effort == "none":
        return {} if way is Way.NOT_AT_ALL else {"thinking": {"type": "disabled"}}
    if way is Way.NOT_AT_ALL:
        raise unsupported("reasoning_effort", "'reasoning_effort'")
    if way is Way.BY_EFFORT:
        told = _EFFORTS.get(effort, effort)
        return {"thinking": {"type": "adaptive"}, "output_config": {"effort": told}}
    # The budget is part of `max_tokens`: half of them are left for the answer.
    budget = min(_BUDGETS[effort], max_tokens // 2)
    if budget < BUDGET_TOKENS_MIN:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


class Detail(Struct):
    """An entry of `reasoning_details`, or a part of one."""

    type: str
    text: str | None = None
    signature: str | None = None
    data: str | None = None
    format: str | None = None
    index: int | None = None


def replayed(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks that `reasoning_details` kept. What another maker's model thought is left out."""
    whole: dict[tuple[str, int], Detail] = {}
    for number, detail in enumerate(_own(details)):
        # Entries without an index are whole, and so each is its own.
        key = (detail.type, -1 - number if detail.index is None else detail.index)
        if (begun := whole.setdefault(key, detail)) is not detail:
            begun.text = (begun.text or "") + (detail.text or "")
            begun.signature = detail.signature or begun.signature
    return [block for detail in whole.values() if (block := _block(detail)) is not None]


def _own(details: Sequence[dict[str, Any]]) -> Iterator[Detail]:
    for each in details:
        try:
            detail = msgspec.convert(each, Detail)
        except msgspec.ValidationError:
            continue
        if detail.format in (None, FORMAT):
            yield detail


def _block(detail: Detail) -> dict[str, Any] | None:
    if detail.type == TEXT and detail.signature:
        return {"type": "thinking", "thinking": detail.text or "", "signature": detail.signature}
    if detail.type == ENCRYPTED and detail.data:
        return {"type": "redacted_thinking", "data": detail.data}
    return None
