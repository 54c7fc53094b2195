"""The hot path, told once, in the order it happens.

    authenticate    who calls                                             tenants
    choose          which model, which upstream                           providers
    hold            the most it can cost, committed before the call       billing
    relay           the upstream's answer, as it comes                    providers
    settle          exactly one ledger line, however it ended             billing

Every endpoint that can cost money goes this way. There is no second accounting path.
"""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from api import own_fields
from api.requests import Call
from billing.holds import Accountant, Hold
from billing.pricing import Most, PriceBook
from providers import routing, tokens
from providers.catalog import Catalog, CatalogModel, unknown
from providers.client import Client, UpstreamResponse
from providers.dialects import Dialect, dialect_of
from providers.dialects.base import Target, UpstreamRequest
from providers.wire import CHAT, ModelCall, ModelRequest, Operation
from runestone.lib.errors import BadRequest, UpstreamBroken
from runestone.lib.money import PICO_PER_USD
from runestone.lib.usage import STANDARD, Component, Usage, UsageSource
from tenants.authentication import Authenticator, Caller


class Prepared(NamedTuple):
    """An attempt that is ready to go: who pays, how much at most, and what to send where."""

    asked: ModelCall
    dialect: Dialect
    request: UpstreamRequest
    hold: Hold


class Offer(NamedTuple):
    """A model and what it costs, in pico-USD a token; None where no price is known."""

    model: CatalogModel
    input_rate: Fraction | None
    output_rate: Fraction | None


class Pipeline:
    """Belongs to one event loop; `api/gateway.py` puts it together."""

    def __init__(
        self,
        access: Authenticator,
        catalog: Catalog,
        prices: PriceBook,
        accountant: Accountant,
        client: Client,
    ) -> None:
        self._access = access
        self._catalog = catalog
        self._prices = prices
        self._accountant = accountant
        self._client = client

    async def complete(self, call: Call, operation: Operation = CHAT) -> bytes:
        """A whole answer in OpenAI's JSON."""
        asked, dialect, request, hold = await self._prepared(call, operation)
        async with hold, self._client.send(request, attempt_id=str(hold.id)) as response:
            await accepted(response, dialect, hold)
            answer = dialect.answer(asked, await response.read())
            hold.observe_first_byte()
            hold.observe(answer.usage)
            return own_fields.spliced(answer.body, call, asked.request)

    async def stream(self, call: Call, operation: Operation = CHAT) -> AsyncGenerator[bytes, None]:
        """An answer as server-sent events. What it raises before its first event is a refusal."""
        asked, dialect, request, hold = await self._prepared(call, operation)
        async with hold, self._client.send(request, attempt_id=str(hold.id)) as response:
            await accepted(response, dialect, hold)
            if not response.is_of(dialect.stream_type):
                raise UpstreamBroken("The provider did not answer with a stream.")
            relay = dialect.relay(asked)
            pieces = text_bytes = 0
            is_first = True
            while data := await response.next():
                hold.observe_first_byte()
                relayed = relay.feed(data)
                hold.observe(relayed.usage)
                pieces += relayed.pieces
                text_bytes += relayed.text_bytes
                hold.counted_output_tokens = tokens.estimated_output(pieces, text_bytes)
                if relayed.data and is_first:
                    is_first = False
                    yield own_fields.spliced_event(relayed.data, call, asked.request)
                elif relayed.data:
                    yield relayed.data
                if relayed.failure is not None:
                    raise relayed.failure
                if relayed.done:
                    await response.give_back()
                    return
            yield relay.finish()

    async def admit(self, call: Call) -> None:
        """Raises Unauthenticated or Forbidden, and costs nothing."""
        await self._access.aauthenticate(call)

    async def models(self, call: Call) -> list[Offer]:
        caller = await self._access.aauthenticate(call)
        return [self._offer(each) for each in self._catalog.models() if caller.may_use(each.name)]

    async def model(self, call: Call, name: str) -> Offer:
        caller = await self._access.aauthenticate(call)
        return self._offer(self._known(name, caller))

    def _offer(self, model: CatalogModel) -> Offer:
        tariff = self._prices.tariff(model.targets[0].upstream, model.name)
        now = datetime.now(UTC)
        return Offer(model, tariff.rate(Component.INPUT, now), tariff.rate(Component.OUTPUT, now))

    async def _prepared(self, call: Call, operation: Operation) -> Prepared:
        caller = await self._access.aauthenticate(call)
        asked = call.decoded(operation)
        own_fields.check_tenant(asked.request, caller)
        model = self._model(asked, caller)
        target = routing.choose(model)
        call.provider = target.upstream
        bound = tokens.bound(asked, model, output_default=caller.max_output_tokens)
        dialect = dialect_of(target)
        cap = bound.choice_tokens if dialect.names_output_cap else bound.output_cap
        request = dialect.request(asked, target, output_tokens_max=cap)
        return Prepared(asked, dialect, request, self._held(call, caller, target, bound, asked))

    def _model(self, asked: ModelCall, caller: Caller) -> CatalogModel:
        """The model that is asked for, with the targets that may serve this call."""
        request, operation = asked.request, asked.operation
        name = request.model
        if name is None and operation is CHAT:
            name = caller.default_model
        name = name or operation.model_default
        if not name:
            raise BadRequest(
                "Missing required parameter: 'model'.",
                param="model",
                code="missing_required_parameter",
            )
        model = self._known(name, caller)
        if model.capabilities and operation.capability not in model.capabilities:
            raise BadRequest(
                f"The model `{name}` does not support {operation.capability}.",
                param="model",
                code="unsupported_operation",
            )
        return own_fields.narrowed(
            request, model, lambda target: self._costs_at_most(target, request)
        )

    def _known(self, name: str, caller: Caller) -> CatalogModel:
        """A model that the key may not use does not exist for it."""
        model = self._catalog.model(name)
        if not caller.may_use(name):
            raise unknown(name)
        return model

    def _costs_at_most(self, target: Target, request: ModelRequest) -> bool:
        tariff = self._prices.tariff(target.upstream, target.model)
        highest = tariff.highest_rate(datetime.now(UTC), request.service_tier_asked)
        limit = Fraction(request.max_cost_per_token or 0) * PICO_PER_USD
        return highest is not None and highest <= limit

    def _held(
        self, call: Call, caller: Caller, target: Target, bound: tokens.Bound, asked: ModelCall
    ) -> Hold:
        return self._accountant.held(
            request_id=call.request_id,
            tenant_id=caller.tenant_id,
            project_id=caller.project_id,
            api_key_id=caller.api_key_id,
            upstream=target.upstream,
            model=target.model,
            most=Most(
                input_tokens=bound.input_tokens,
                output_tokens=bound.output_tokens,
                web_searches=asked.request.web_searches,
                service_tier=asked.request.service_tier_asked,
                audio=bound.audio,
            ),
            counted=Usage(
                input_tokens=tokens.estimated_input(asked),
                web_searches=asked.request.web_searches,
                service_tier=asked.request.service_tier_asked or STANDARD,
                source=UsageSource.COUNTED,
            ),
            streamed=asked.request.streams,
        )


async def accepted(response: UpstreamResponse, dialect: Dialect, hold: Hold) -> None:
    """Raises the upstream's refusal, if it is one, in the caller's words."""
    hold.upstream_request_id = response.headers.get(dialect.request_id_header, "")
    if response.status != 200:
        refusal = await response.read_beginning()
        raise dialect.error(response.status, response.headers, refusal)
