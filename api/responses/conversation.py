"""The whole conversation that a request goes on from: what is stored, and what is said now."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from api.responses.answer import response_uuid
from api.responses.items import KINDS, Item, ItemReference
from api.responses.reading import Asked
from api.responses.store import Store, Stored
from runestone.lib.errors import BadRequest, NotFound

# Each may need a look into the store.
REFERENCES_MAX = 100

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "cto",
    "reasoning": "rs",
}
_NUMBERED = re.compile(r"[a-z]+_(?P<response>[0-9a-f]{32})[0-9a-f]{4,}")


class Conversation(NamedTuple):
    # All of it, in order.
    items: list[Item]
    # This request's own input, as it is kept and listed.
    own: list[dict[str, Any]]
    previous: UUID | None


def item_id(prefix: str, response: UUID, number: int) -> str:
    """Items are named after their response, so that a reference tells where to look."""
    return f"{prefix}_{response.hex}{number:04x}"


async def gather(asked: Asked, store: Store, tenant_id: int, response: UUID) -> Conversation:
    """Raises BadRequest if it cannot go on from there, NotFound for an item that is not theirs."""
    name = asked.request.previous_response_id
    previous = None if name is None else response_uuid(name)
    if name is not None and previous is None:
        raise _no_previous(name)
    before = [] if previous is None else await _before(store, tenant_id, previous)
    references = _References(store, tenant_id, before)
    own: list[dict[str, Any]] = []
    for item, raw in asked.items:
        found = await references.find(item.id) if isinstance(item, ItemReference) else raw
        own.append(_kept(found, response, len(own)))
    return Conversation([_typed(each) for each in (*before, *own)], own, previous)


def items_of(responses: Iterable[Stored]) -> list[dict[str, Any]]:
    return [item for each in responses for item in (*each.input, *each.response["output"])]


async def _before(store: Store, tenant_id: int, previous: UUID) -> list[dict[str, Any]]:
    chain = await store.chain(tenant_id, previous)
    if chain.missing is not None:
        raise _no_previous(f"resp_{chain.missing.hex}")
    if chain.is_cut:
        raise BadRequest(
            "The conversation before this response is too long to go on from.",
            param="previous_response_id",
            code="context_length_exceeded",
        )
    return items_of(chain.responses)


class _References:
    def __init__(self, store: Store, tenant_id: int, before: list[dict[str, Any]]) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._known = {item["id"]: item for item in before}
        self._seen: set[UUID] = set()

    async def find(self, name: str) -> dict[str, Any]:
        if name not in self._known and (numbered := _NUMBERED.fullmatch(name)):
            await self._fetch(UUID(hex=numbered["response"]))
        try:
            return self._known[name]
        except KeyError:
            raise NotFound(
                f"Item with id '{name}' not found. Items are not kept when 'store' is false.",
                param="input",
            ) from None

    async def _fetch(self, response: UUID) -> None:
        if response in self._seen:
            return
        self._seen.add(response)
        if len(self._seen) > REFERENCES_MAX:
            raise BadRequest(
                f"Items of more than {REFERENCES_MAX} responses are referred to.",
                param="input",
                code="array_above_max_length",
            )
        stored = await self._store.get(self._tenant_id, response)
        if stored is not None:
            self._known |= {item["id"]: item for item in items_of([stored])}


def _kept(raw: dict[str, Any], response: UUID, number: int) -> dict[str, Any]:
    """An item in its full form: with an id and a type, a message with parts."""
    kind = raw.get("type") or "message"
    name = raw.get("id") or item_id(_PREFIXES[kind], response, number)
    kept = {**raw, "id": name, "type": kind}
    if kind == "message":
        kept.setdefault("status", "completed")
        if isinstance(raw["content"], str):
            kept["content"] = [_part(raw["role"], raw["content"])]
    return kept


def _part(role: str, text: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def _typed(item: dict[str, Any]) -> Item:
    typed: Item = msgspec.convert(item, KINDS[item["type"]])
    return typed


def _no_previous(name: str) -> BadRequest:
    """OpenAI answers 400 here, and 404 where a response is asked for by its URL."""
    return BadRequest(
        f"Previous response with id '{name}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )
