"""The hot path, told once, in the order it happens.

    authenticate    who calls                                             tenants
    choose          which model, which upstream                           providers
    hold            the most it can cost, committed before the call       billing
    relay           the upstream's answer, as it comes                    providers
    settle          exactly one ledger line, however it ended             billing

Every endpoint that can cost money goes this way. There is no second accounting path.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from api.requests import Call
from billing.holds import Accountant, Hold
from providers import routing, tokens
from providers.catalog import Catalog, CatalogModel
from providers.client import REFUSAL_BYTES_MAX, Client, UpstreamResponse
from providers.dialects import DIALECTS, Dialect
from providers.dialects.base import Target
from providers.wire import ChatCall
from runestone.lib.errors import BadRequest, UpstreamBroken
from runestone.lib.usage import Usage, UsageSource
from tenants.authentication import Authenticator, Caller

MODEL_DEFAULT = "gpt-4o-mini"

# Asked-for extras that providers bill at rates of their own, for which no price can be known yet.
_PRICED_SERVICE_TIERS = (None, "auto", "default")


class Opened(NamedTuple):
    """An attempt under way: its money held, the upstream's 200 and headers there."""

    chat: ChatCall
    dialect: Dialect
    hold: Hold
    response: UpstreamResponse


class Pipeline:
    """Belongs to one event loop; `api/gateway.py` puts it together."""

    def __init__(
        self, access: Authenticator, catalog: Catalog, accountant: Accountant, client: Client
    ) -> None:
        self._access = access
        self._catalog = catalog
        self._accountant = accountant
        self._client = client

    async def complete(self, call: Call) -> bytes:
        """A whole answer: the JSON of a `chat.completion`."""
        async with self._opened(call) as (chat, dialect, hold, response):
            answer = dialect.answer(chat, await response.read())
            hold.observe_first_byte()
            hold.observe(answer.usage)
            return answer.body

    async def stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        """An answer as server-sent events. What it raises before its first event is a refusal."""
        async with self._opened(call) as (chat, dialect, hold, response):
            if not response.is_event_stream:
                raise UpstreamBroken("The provider did not answer with a stream.")
            relay = dialect.relay(chat)
            pieces = text_bytes = 0
            while data := await response.next():
                hold.observe_first_byte()
                relayed = relay.feed(data)
                hold.observe(relayed.usage)
                pieces += relayed.pieces
                text_bytes += relayed.text_bytes
                hold.counted_output_tokens = tokens.estimated_output(pieces, text_bytes)
                if relayed.data:
                    yield relayed.data
                if relayed.failure is not None:
                    raise relayed.failure
                if relayed.done:
                    await response.give_back()
                    return
            yield relay.finish()

    async def models(self, call: Call) -> list[CatalogModel]:
        await self._access.aauthenticate(call.headers)
        return self._catalog.models()

    async def model(self, call: Call, name: str) -> CatalogModel:
        await self._access.aauthenticate(call.headers)
        return self._catalog.model(name)

    @asynccontextmanager
    async def _opened(self, call: Call) -> AsyncIterator[Opened]:
        caller = await self._access.aauthenticate(call.headers)
        chat = call.chat()
        refuse_what_has_no_price(chat)
        model = self._catalog.model(chat.request.model or caller.default_model or MODEL_DEFAULT)
        target = routing.choose(model)
        bound = tokens.bound(chat, model, output_default=caller.max_output_tokens)
        dialect = DIALECTS[target.dialect]
        request = dialect.request(chat, target, output_tokens_max=bound.output_cap)
        async with (
            self._held(call, caller, target, bound, chat) as hold,
            self._client.send(request, attempt_id=str(hold.id)) as response,
        ):
            hold.upstream_request_id = response.headers.get("x-request-id", "")
            if response.status != 200:
                refusal = await response.read(REFUSAL_BYTES_MAX)
                raise dialect.error(response.status, response.headers, refusal)
            yield Opened(chat, dialect, hold, response)

    def _held(
        self, call: Call, caller: Caller, target: Target, bound: tokens.Bound, chat: ChatCall
    ) -> Hold:
        return self._accountant.held(
            request_id=call.request_id,
            tenant_id=caller.tenant_id,
            project_id=caller.project_id,
            api_key_id=caller.api_key_id,
            upstream=target.upstream,
            model=target.model,
            input_tokens_max=bound.input_tokens,
            output_tokens_max=bound.output_tokens,
            audio=bound.audio,
            counted=Usage(input_tokens=tokens.estimated_input(chat), source=UsageSource.COUNTED),
            streamed=bool(chat.request.stream),
        )


def refuse_what_has_no_price(chat: ChatCall) -> None:
    """Raises BadRequest for extras whose cost could not be bounded, and so not be held."""
    if chat.request.service_tier not in _PRICED_SERVICE_TIERS:
        raise BadRequest(
            f"Unsupported value: 'service_tier' does not support '{chat.request.service_tier}' "
            "here: no price is known for it.",
            param="service_tier",
            code="unsupported_value",
        )
    if chat.request.web_search_options is not None:
        raise BadRequest(
            "Unsupported parameter: 'web_search_options' is not supported here: no price is known "
            "for searches.",
            param="web_search_options",
            code="unsupported_parameter",
        )
