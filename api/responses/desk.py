"""What the endpoint does, told in the order it happens.

read         the request, checked                              reading
gather       the conversation that it goes on from             conversation, store
translate    into a chat request                               chat, messages
ask          the pipeline, which alone does the accounting     api/pipeline.py
translate    the answer, whole or piece by piece               output, answer, relay
keep         the response, unless the caller objects           store
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from api import errors
from api.pipeline import Pipeline
from api.requests import Call
from api.responses import chunks, reading
from api.responses.answer import Answer, response_uuid
from api.responses.chat import chat_body
from api.responses.conversation import Conversation, gather, item_id, items_of
from api.responses.failures import in_our_words
from api.responses.output import Output
from api.responses.reading import Asked
from api.responses.relay import Relay
from api.responses.store import NotKept, Store, Stored
from runestone.lib.errors import GatewayError, NotFound, UpstreamBroken
from tenants.authentication import Authenticator, Caller

log = logging.getLogger(__name__)


@dataclass
class Turn:
    """One request under way."""

    caller: Caller
    asked: Asked
    conversation: Conversation
    # The same call in chat's words.
    chat: Call
    answer: Answer
    output: Output


class Desk:
    """Belongs to one event loop; `api/gateway.py` puts it together."""

    def __init__(self, access: Authenticator, pipeline: Pipeline, store: Store) -> None:
        self._access = access
        self._pipeline = pipeline
        self._store = store

    async def create(self, call: Call) -> bytes:
        """A whole response."""
        turn = await self._begun(call)
        try:
            said = chunks.decoded(await self._pipeline.complete(turn.chat))
        except GatewayError as error:
            raise in_our_words(error, turn.asked.request.model) from error
        finally:
            call.provider = turn.chat.provider
        response = _response(turn, said)
        await self._keep(turn, response)
        return msgspec.json.encode(response)

    async def stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        """A response as events. What it raises before its first event is a refusal."""
        turn = await self._begun(call)
        relay = Relay(turn.answer, turn.output, pads=turn.asked.request.is_padded)
        try:
            async with aclosing(self._pipeline.stream(turn.chat)) as pieces:
                async for piece in pieces:
                    call.provider = turn.chat.provider
                    try:
                        for event in relay.feed(piece):
                            yield event
                    except GatewayError as error:
                        # To be settled as the provider's failure: nobody has hung up.
                        await pieces.athrow(error)
        except Exception as error:
            call.provider = turn.chat.provider
            failure = in_our_words(errors.as_gateway_error(error), turn.asked.request.model)
            if not relay.has_begun:
                raise failure from error
            for event in relay.fail(failure):
                yield event
            return
        for event in relay.close():
            yield event
        response = relay.finished()
        await self._keep(turn, response)
        yield relay.end(response)

    async def retrieve(self, call: Call, name: str) -> dict[str, Any]:
        caller = await self._access.aauthenticate(call)
        response = _known(name)
        stored = await self._store.get(caller.tenant_id, response)
        if stored is None:
            raise _not_found(name)
        return stored.response

    async def delete(self, call: Call, name: str) -> None:
        caller = await self._access.aauthenticate(call)
        if not await self._store.delete(caller.tenant_id, _known(name)):
            raise _not_found(name)

    async def input_items(self, call: Call, name: str) -> list[dict[str, Any]]:
        """All that the response was made from, the oldest first."""
        caller = await self._access.aauthenticate(call)
        chain = await self._store.chain(caller.tenant_id, _known(name))
        if not chain.responses:
            raise _not_found(name)
        *before, last = chain.responses
        return [*items_of(before), *last.input]

    async def close(self) -> None:
        await self._store.close()

    async def _begun(self, call: Call) -> Turn:
        caller = await self._access.aauthenticate(call)
        call.require_json()
        asked = reading.read(call.body)
        conversation = await gather(asked, self._store, caller.tenant_id, call.request_id)
        chat = call.translated(chat_body(asked, conversation.items))
        # Output items are numbered on from the input's.
        named = partial(_named, call.request_id, len(conversation.own))
        return Turn(
            caller, asked, conversation, chat, Answer(asked, call.request_id), Output(named)
        )

    async def _keep(self, turn: Turn, response: dict[str, Any]) -> None:
        """A store that fails must not cost the caller its answer, which is paid for."""
        if not turn.asked.request.is_kept:
            return
        stored = Stored(response, turn.conversation.own)
        try:
            await self._store.put(
                turn.caller, turn.chat.request_id, turn.conversation.previous, stored
            )
        except NotKept as error:
            log.error("response %s could not be kept: %s", response["id"], error)
            response["store"] = False


def _response(turn: Turn, said: chunks.Chunk) -> dict[str, Any]:
    first = next(iter(said.choices or ()), None)
    if first is None or first.message is None:
        raise UpstreamBroken("The provider's answer has no message.")
    turn.answer.observe(said)
    turn.answer.observe_end(first.finish_reason)
    for _ in turn.output.add(first.message, first.chances()):
        pass
    for _ in turn.output.close(turn.answer.final_status):
        pass
    return turn.answer.finished(turn.output.items)


def _named(response: UUID, items_before: int, prefix: str, index: int) -> str:
    return item_id(prefix, response, items_before + index)


def _known(name: str) -> UUID:
    response = response_uuid(name)
    if response is None:
        raise _not_found(name)
    return response


def _not_found(name: str) -> NotFound:
    return NotFound(f"Response with id '{name}' not found.")
