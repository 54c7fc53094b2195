"""One call's attempts at providers, each with its own hold and its own ledger line.

    open      hold the money, send the request, see whether it is accepted
    relay     the pipeline's part
    close     settle, and tell breaker, keyring and statistics how it went

If an attempt fails before anything of its answer has reached the caller, the next candidate is
tried. When all have been, those that certainly did not work on the call are tried again, after a
pause. What may have been billed is never simply repeated at the same place.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Self

import msgspec

from api.requests import Call
from billing.holds import Accountant, Hold
from billing.pricing import Most, PriceBook
from providers import tokens
from providers.breakers import Breakers
from providers.client import Client, UpstreamResponse
from providers.dialects import Dialect, dialect_of
from providers.dialects.base import Target, UpstreamRequest
from providers.health import Health
from providers.keyring import Keyring, UpstreamKey
from providers.routing import Decision, Option
from providers.tokens import Bound
from providers.wire import ModelCall
from runestone.lib.errors import (
    BadRequest,
    BudgetExhausted,
    CallerLeft,
    GatewayError,
    ModelNotPriced,
    UpstreamBroken,
    UpstreamError,
    UpstreamHedged,
    UpstreamResting,
)
from runestone.lib.usage import STANDARD, Usage, UsageSource
from tenants.authentication import Caller

# All attempts of one call together.
ATTEMPTS_MAX = 6
# The pause before a repetition is drawn between a half of this and the whole; it doubles each time.
PAUSE_SECONDS = 0.25
# A provider that wants to be left alone for longer is not waited for: its caller is told.
PAUSE_SECONDS_MAX = 4.0

# Answers that are read on at once, of each process.
DRAINS_MAX = 256

# What need not stand in another option's way: a vendor's quirks, or a price that is too high.
_FAULTS_OF_AN_OPTION = (
    UpstreamError,
    UpstreamResting,
    BadRequest,
    BudgetExhausted,
    ModelNotPriced,
)
# Statuses by which a provider refuses the credential, and not the call.
_KEY_REFUSED = (401, 402, 403)


@dataclass
class Resources:
    """What attempts work with, and what is known of the ways they can go.

    Belongs to one event loop; it is routing's `Outlook`.
    """

    accountant: Accountant
    prices: PriceBook
    client: Client
    breakers: Breakers
    health: Health
    drains: "Drains"
    repetitions_max: int
    keyring: Keyring = field(default_factory=Keyring)
    under_way: Counter[str] = field(default_factory=Counter)

    def permits(self, upstream: str) -> bool:
        return self.breakers.permits(upstream)

    def seconds_until_trial(self, upstream: str) -> float:
        return self.breakers.seconds_until_trial(upstream)

    def latency(self, upstream: str, model: str) -> float | None:
        return self.health.latency(upstream, model)

    def seconds_until_ready(self, target: Target, tenant_id: int) -> float:
        if not target.keys:
            return 0.0
        return self.keyring.seconds_until_ready(target.keys, tenant_id) or 0.0

    def has_room(self, target: Target) -> bool:
        return target.calls_max is None or self.under_way[target.upstream] < target.calls_max

    def cost(self, call: ModelCall, option: Option) -> int | None:
        usage = msgspec.structs.replace(counted(call), output_tokens=tokens.expected_output(call))
        tariff = self.prices.tariff(option.target.upstream, option.model.name)
        return tariff.cost(usage, datetime.now(UTC)).amount_pico

    def highest_rate(self, call: ModelCall, option: Option) -> Fraction | None:
        tariff = self.prices.tariff(option.target.upstream, option.model.name)
        return tariff.highest_rate(datetime.now(UTC), call.request.service_tier_asked)


class Order(msgspec.Struct, frozen=True):
    """What is to be done for whom, and the options in the order in which to try them."""

    call: Call
    caller: Caller
    asked: ModelCall
    decision: Decision
    # After so long without a sign from the first a second one is asked, too; None: never.
    hedge_seconds: float | None


class Attempts:
    """The attempts of one call, one after another."""

    def __init__(self, resources: Resources, order: Order) -> None:
        self._resources = resources
        self._order = order
        self._round = deque(order.decision.candidates)
        self._repeatable: list[Option] = []
        self._repetitions = 0
        self._number = 0
        # Whether a ledger line tells how the upstream was chosen.
        self.are_recorded = False
        # What a provider said last; it tells a caller more than what stood in our own way.
        self._said: UpstreamError | None = None

    async def open(self) -> "Attempt":
        """The first attempt from here on that a provider accepts. Raises if there is none."""
        while True:
            try:
                return await (self._hedged() if self._order.hedge_seconds else self._opened())
            except _FAULTS_OF_AN_OPTION as error:
                await self.recover(error)

    async def recover(self, error: GatewayError) -> None:
        """Makes ready for another attempt after one that failed with `error`, or raises."""
        if isinstance(error, UpstreamError):
            self._said = error
            if error.is_callers_fault:
                raise error
        if self._number < ATTEMPTS_MAX and self._round:
            return
        error = self._said or error
        is_over = (
            self._number >= ATTEMPTS_MAX or self._repetitions >= self._resources.repetitions_max
        )
        if is_over or not self._repeatable:
            raise error
        pause = PAUSE_SECONDS * 2**self._repetitions * random.uniform(0.5, 1)  # noqa: S311 -- jitter
        pause = max(pause, seconds_to_wait(error) or 0.0)
        if pause > PAUSE_SECONDS_MAX:
            raise error
        self._repetitions += 1
        self._round.extend(self._repeatable)
        self._repeatable.clear()
        await asyncio.sleep(pause)

    def failed(self, option: Option, error: BaseException | None) -> None:
        """Notes of an attempt that was closed with `error` what it means for its option."""
        if not isinstance(error, UpstreamError) or error.is_callers_fault:
            return
        if error.upstream_status in (429, *_KEY_REFUSED) and self._has_another_key(option):
            self._round.appendleft(option)
        elif not error.billable:
            self._repeatable.append(option)

    def _has_another_key(self, option: Option) -> bool:
        keys, tenant_id = option.target.keys, self._order.caller.tenant_id
        return bool(keys) and self._resources.keyring.seconds_until_ready(keys, tenant_id) == 0

    async def _opened(self) -> "Attempt":
        attempt = self._next()
        await attempt.open()
        return attempt

    async def _hedged(self) -> "Attempt":
        """The faster of two attempts, of which the second begins only if the first is slow."""
        first = self._next()
        racing = {asyncio.create_task(first.open()): first}
        try:
            await asyncio.wait(racing, timeout=self._order.hedge_seconds)
            if self._round and not any(task.done() for task in racing):
                second = self._next()
                racing[asyncio.create_task(second.open())] = second
            won = await _first_to_open(racing)
            await _end(racing, won)
        except BaseException:
            # All have failed, or the caller has left: perhaps only now, while the loser was ended.
            await _end(racing, None)
            raise
        return won

    def _next(self) -> "Attempt":
        self._number += 1
        return Attempt(self._resources, self._order, self, self._round.popleft(), self._number)


class Drains:
    """Answers whose caller has hung up, read on for what they really use. In bounds."""

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def have_room(self) -> bool:
        return len(self._tasks) < DRAINS_MAX

    def take(self, attempt: "Attempt", read_on: Callable[[], Awaitable[None]]) -> None:
        """Takes over an attempt whose caller has left, and closes it in time."""
        task = asyncio.get_running_loop().create_task(self._drain(attempt, read_on))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Waits for those that are under way; none of them takes long."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _drain(self, attempt: "Attempt", read_on: Callable[[], Awaitable[None]]) -> None:
        with suppress(TimeoutError, UpstreamError):
            async with asyncio.timeout(self._seconds_max):
                await read_on()
        await attempt.close(CallerLeft("The caller hung up; the rest was read for its usage."))


class Attempt:
    """One try at one option. Once it is open, `async with` it; leaving it closes it."""

    response: UpstreamResponse
    hold: Hold

    def __init__(
        self, resources: Resources, order: Order, attempts: Attempts, option: Option, number: int
    ) -> None:
        self.dialect: Dialect = dialect_of(option.target)
        self.is_open = False
        # Another one was faster.
        self.is_lost = False
        # Reads the rest of the answer for the sake of its usage, should the caller hang up.
        self.read_on: Callable[[], Awaitable[None]] | None = None
        self._resources = resources
        self._order = order
        self._attempts = attempts
        self.option = option
        self._number = number
        self._key: UpstreamKey | None = None
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Raises what stands in the way; the attempt is closed then."""
        try:
            await self._open()
        except BaseException as error:
            await self.close(error)
            raise
        self.is_open = True

    async def __aenter__(self) -> Self:
        # From here on it is this one that the caller hears of.
        self._order.call.provider = self.option.target.upstream
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if self.read_on is not None and isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._resources.drains.take(self, self.read_on)
        else:
            await self.close(error)

    async def close(self, error: BaseException | None) -> None:
        if self.is_lost:
            error = UpstreamHedged("Another provider was faster.")
        if error is None:
            await self._stack.aclose()
        else:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
        self._attempts.failed(self.option, error)

    async def _open(self) -> None:
        resources, upstream = self._resources, self.option.target.upstream
        self._order.call.provider = upstream
        request, bound = self._request()
        turn = resources.breakers.begin(upstream)
        if not turn:
            raise UpstreamResting("The provider is failing, and is left alone for a moment.")
        resources.under_way[upstream] += 1
        self._stack.push(lambda _kind, error, _trace: self._tell(turn, error))
        hold = self._held(bound)
        self.hold = await self._stack.enter_async_context(hold)
        self._attempts.are_recorded = True
        response = await self._stack.enter_async_context(
            resources.client.send(request, attempt_id=str(hold.id))
        )
        hold.upstream_request_id = response.headers.get(self.dialect.request_id_header, "")
        if response.status != 200:
            refusal = await response.read_beginning()
            raise self.dialect.error(response.status, response.headers, refusal)
        if self._order.asked.request.streams and not response.is_of(self.dialect.stream_type):
            raise UpstreamBroken("The provider did not answer with a stream.")
        self.response = response

    def _request(self) -> tuple[UpstreamRequest, Bound]:
        target, caller, asked = self.option.target, self._order.caller, self._order.asked
        if target.keys:
            self._key = self._resources.keyring.pick(target.keys, caller.tenant_id)
            if self._key is None:
                raise UpstreamResting("Every credential of the provider has to rest for a moment.")
            target = msgspec.structs.replace(target, credential=self._key.secret)
        bound = tokens.bound(asked, self.option.model, output_default=caller.max_output_tokens)
        cap = bound.choice_tokens if self.dialect.names_output_cap else bound.output_cap
        return self.dialect.request(asked, target, output_tokens_max=cap), bound

    def _held(self, bound: Bound) -> Hold:
        asked, caller = self._order.asked, self._order.caller
        return self._resources.accountant.held(
            request_id=self._order.call.request_id,
            tenant_id=caller.tenant_id,
            project_id=caller.project_id,
            api_key_id=caller.api_key_id,
            upstream=self.option.target.upstream,
            model=self.option.model.name,
            most=Most(
                input_tokens=bound.input_tokens,
                output_tokens=bound.output_tokens,
                web_searches=asked.request.web_searches,
                service_tier=asked.request.service_tier_asked,
                audio=bound.audio,
            ),
            counted=counted(asked),
            streamed=asked.request.streams,
            end_user=asked.request.end_user,
            number=self._number,
            byok=self._key is not None and self._key.tenant_id is not None,
            routing=None if self._attempts.are_recorded else self._order.decision.told(),
        )

    def _tell(self, turn: int, error: BaseException | None) -> None:
        """Tells everybody who learns from it how the attempt went."""
        resources, option = self._resources, self.option
        upstream, model = option.target.upstream, option.model.name
        resources.under_way[upstream] -= 1
        if error is None:
            resources.breakers.succeeded(upstream, turn)
            seconds = self.hold.first_byte_seconds
            resources.health.observe(upstream, model, first_byte_seconds=seconds, ok=True)
        elif isinstance(error, UpstreamError) and is_upstreams_fault(error):
            resources.breakers.failed(upstream, turn)
            resources.health.observe(upstream, model, first_byte_seconds=None, ok=False)
        else:
            resources.breakers.abandoned(upstream, turn)
        if self._key is not None and isinstance(error, UpstreamError):
            self._tell_keyring(self._key, error)

    def _tell_keyring(self, key: UpstreamKey, error: UpstreamError) -> None:
        if error.upstream_status == 429 and error.status == 429:
            self._resources.keyring.cool(key, seconds_to_wait(error))
        elif error.upstream_status in (429, *_KEY_REFUSED):
            # Nobody can pay with it: refused, or its quota is used up.
            self._resources.keyring.reject(key)


def counted(call: ModelCall) -> Usage:
    """What to charge for a call's input should its provider report no usage."""
    return Usage(
        input_tokens=tokens.estimated_input(call),
        web_searches=call.request.web_searches,
        service_tier=call.request.service_tier_asked or STANDARD,
        source=UsageSource.COUNTED,
    )


def is_upstreams_fault(error: UpstreamError) -> bool:
    """Whether it says that the upstream as such is failing: not a limit, a key or the request."""
    if isinstance(error, UpstreamHedged):
        return False
    return not 400 <= error.upstream_status < 500 or error.upstream_status == 408


def seconds_to_wait(error: GatewayError) -> float | None:
    """How long the provider asked us to leave it alone, if it did."""
    with suppress(KeyError, ValueError):
        return float(error.headers["retry-after-ms"]) / 1_000
    with suppress(KeyError, ValueError):
        return float(error.headers["retry-after"])
    return None


async def _first_to_open(racing: dict["asyncio.Task[None]", Attempt]) -> Attempt:
    """Raises what stood in the way of the last one if all fail."""
    pending: Iterable[asyncio.Task[None]] = set(racing)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None or not pending:
                await task
                return racing[task]
    raise AssertionError("there is always one")


async def _end(racing: dict["asyncio.Task[None]", Attempt], won: Attempt | None) -> None:
    """Closes all but the winner, wherever they are; all of them if the caller has left."""
    for task, attempt in racing.items():
        if attempt is not won:
            attempt.is_lost = attempt.is_lost or won is not None
            task.cancel()
    await asyncio.gather(*racing, return_exceptions=True)
    for attempt in racing.values():
        if attempt is not won and attempt.is_open:
            await attempt.close(asyncio.CancelledError())
