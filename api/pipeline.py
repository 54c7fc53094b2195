"""The hot path, told once, in the order it happens.

    authenticate    who calls                                             tenants
    look            whether the very same was answered a while ago        api/cache
    choose          which models and upstreams may serve it               providers
    hold            the most it can cost, committed before the call       billing
    relay           the upstream's answer, as it comes                    providers
    settle          exactly one ledger line an attempt, however it ended  billing

Every endpoint that can cost money goes this way. There is no second accounting path. What an
attempt is, and when another one follows it, is told in `api/attempts.py`. Only who asks for it gets
a kept answer; that has its hold and its line, too, over nothing.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from api import own_fields
from api.attempts import Attempt, Attempts, Order, Resources
from api.cache import AnswerCache, Kept, Recording
from api.events import Events
from api.question import Question
from api.requests import Call
from billing.cached import CachedHold
from providers import routing
from providers.catalog import Catalog, CatalogModel, unknown
from providers.routing import Errand, Option
from providers.wire import CHAT, ModelCall, Operation
from runestone.lib.errors import BadRequest, UpstreamError
from runestone.lib.policy import RoutingPolicy
from runestone.lib.usage import Component
from tenants.authentication import Authenticator, Caller


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
        resources: Resources,
        cache: AnswerCache,
        policy: RoutingPolicy,
    ) -> None:
        """`policy` is for callers who have none of their own."""
        self._access = access
        self._catalog = catalog
        self._resources = resources
        self._cache = cache
        self._policy = policy

    async def complete(self, call: Call, operation: Operation = CHAT) -> bytes:
        """A whole answer in OpenAI's JSON."""
        question = await self._question(call, operation)
        asked, slot = question.asked, self._cache.slot(question)
        if slot is not None and (kept := await slot.look()) is not None:
            async with self._replayed(question, kept) as hold:
                hold.observe_first_byte()
                return own_fields.spliced(kept.pieces[0], call, asked.request)
        attempts = Attempts(self._resources, self._order(question))
        while True:
            attempt = await attempts.open()
            try:
                async with attempt:
                    answer = attempt.dialect.answer(asked, await attempt.response.read())
                    attempt.hold.observe_first_byte()
                    attempt.hold.observe(answer.usage)
                    if slot is not None:
                        slot.keep(attempt.option, [answer.body], attempt.hold.usage())
                    return own_fields.spliced(answer.body, call, asked.request)
            except UpstreamError as error:
                await attempts.recover(error)

    async def stream(self, call: Call, operation: Operation = CHAT) -> AsyncGenerator[bytes, None]:
        """An answer as server-sent events. What it raises before its first event is a refusal."""
        question = await self._question(call, operation)
        asked, slot = question.asked, self._cache.slot(question)
        if slot is not None and (kept := await slot.look()) is not None:
            async with self._replayed(question, kept) as hold:
                first, *rest = kept.pieces
                hold.observe_first_byte()
                yield own_fields.spliced_event(first, call, asked.request)
                for events_kept in rest:
                    # There is nothing to wait for, but others have their turn, and hang-ups too.
                    await asyncio.sleep(0)
                    yield events_kept
                return
        attempts = Attempts(self._resources, self._order(question))
        while True:
            attempt = await attempts.open()
            recording = None if slot is None else slot.recording()
            events = self._events(attempt, question, recording)
            try:
                async with attempt:
                    while data := await attempt.response.next():
                        if told := events.feed(data):
                            yield told
                        if events.is_over():
                            break
                    else:
                        yield events.finish()
                    if recording is not None:
                        recording.keep(attempt.option, attempt.hold.usage())
                    await attempt.response.give_back()
                    return
            except UpstreamError as error:
                if events.have_begun:
                    raise
                await attempts.recover(error)

    def _events(self, attempt: Attempt, question: Question, recording: Recording | None) -> Events:
        events = Events(attempt, question.call, question.asked, recording)
        if question.caller.drains and self._resources.drains.have_room:
            attempt.read_on = events.read_on
        return events

    async def admit(self, call: Call) -> None:
        """Raises Unauthenticated or Forbidden, and costs nothing."""
        await self._access.aauthenticate(call)

    async def models(self, call: Call) -> list[Offer]:
        caller = await self._access.aauthenticate(call)
        return [
            self._offer(model)
            for model in self._catalog.models()
            if caller.may_use(model.name) and _serves(model, caller)
        ]

    async def model(self, call: Call, name: str) -> Offer:
        caller = await self._access.aauthenticate(call)
        return self._offer(self._known(name, caller))

    def _offer(self, model: CatalogModel) -> Offer:
        tariff = self._resources.prices.tariff(model.targets[0].upstream, model.name)
        now = datetime.now(UTC)
        return Offer(model, tariff.rate(Component.INPUT, now), tariff.rate(Component.OUTPUT, now))

    async def _question(self, call: Call, operation: Operation) -> Question:
        caller = await self._access.aauthenticate(call)
        asked = call.decoded(operation)
        own_fields.check(asked.request, caller)
        policy = asked.request.routing_policy or caller.routing_policy or self._policy
        call.routing_policy = policy = RoutingPolicy(policy)
        return Question(call, caller, asked, self._options(asked, caller), policy)

    def _replayed(self, question: Question, kept: Kept) -> CachedHold:
        call, caller, resources = question.call, question.caller, self._resources
        call.provider = kept.upstream
        tariff = resources.prices.tariff(kept.upstream, kept.model)
        return CachedHold(
            resources.accountant,
            request_id=call.request_id,
            tenant_id=caller.tenant_id,
            project_id=caller.project_id,
            api_key_id=caller.api_key_id,
            upstream=kept.upstream,
            model=kept.model,
            end_user=question.asked.request.end_user,
            saved_pico=tariff.cost(kept.usage, datetime.now(UTC)).amount_pico,
            streamed=question.asked.request.streams,
        )

    def _order(self, question: Question) -> Order:
        call, caller, asked = question.call, question.caller, question.asked
        errand = Errand(asked, caller.tenant_id, question.policy)
        decision = routing.decide(errand, question.options, self._resources)
        return Order(call, caller, asked, decision, caller.hedge_seconds)

    def _options(self, asked: ModelCall, caller: Caller) -> list[Option]:
        """Every way to the model that is asked for, or to any that is like what is asked for."""
        request = asked.request
        if request.model is None and (request.model_family or request.capabilities):
            models = [each for each in self._catalog.models() if caller.may_use(each.name)]
            if not models:
                raise unknown("")
        else:
            models = [self._known(_model_name(asked, caller), caller)]
        return [Option(model, target) for model in models for target in model.targets]

    def _known(self, name: str, caller: Caller) -> CatalogModel:
        """A model that the key may not use does not exist for it."""
        found = [model for model in self._catalog.named(name) if caller.may_use(model.name)]
        if not found:
            raise unknown(name)
        if len(found) > 1:
            raise _ambiguous(name, found)
        return found[0]


def _model_name(asked: ModelCall, caller: Caller) -> str:
    name = asked.request.model
    if name is None and asked.operation is CHAT:
        name = caller.default_model
    name = name or asked.operation.model_default
    if not name:
        raise BadRequest(
            "Missing required parameter: 'model'.",
            param="model",
            code="missing_required_parameter",
        )
    return name


def _serves(model: CatalogModel, caller: Caller) -> bool:
    return any(target.serves(caller.tenant_id) for target in model.targets)


def _ambiguous(name: str, models: list[CatalogModel]) -> BadRequest:
    """What one upstream calls by this name is another model than what another one does."""
    full = sorted(f"{target.upstream}/{name}" for model in models for target in model.targets)
    return BadRequest(
        f"The model name `{name}` means different models here. Say which one: "
        f"{', '.join(f'`{each}`' for each in full)}.",
        param="model",
        code="ambiguous_model",
    )
