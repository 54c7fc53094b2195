"""Two-phase money: hold before the provider is called, settle after, both in batches.

`held()` is the hot path's one way to spend. Entering a hold commits it; leaving it, however that
happens, hands exactly one ledger line to the settler. Settling is idempotent, so it is repeated
until the database has it, and a caller's hang-up or our own cancellation cannot interrupt it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import msgspec
import psycopg

from billing import budgets, end_users
from billing.instances import Instance
from billing.pricing import Most, PriceBook, Tariff
from runestone.lib.batching import Batcher
from runestone.lib.database import Connection
from runestone.lib.errors import (
    BudgetExhausted,
    GatewayError,
    ModelNotPriced,
    Unavailable,
    UpstreamError,
)
from runestone.lib.ids import uuid7
from runestone.lib.usage import NOTHING_USED, Usage, UsageSource

SETTLE_RETRY_SECONDS_MAX = 2.0
# Held by settles while the database is away: as many as there were calls in flight.
SETTLES_WAITING_MAX = 1_000_000
# Windows are opened one at a time, each once a period. A call that misses more in a row than it
# can have budgets, within reason, means that something is wrong.
WINDOW_ATTEMPTS_MAX = 32
# The status on the line of a call whose caller hung up (nginx's convention).
CLIENT_CLOSED_REQUEST = 499

_GRANTED = 0
# What is wrong with a line itself; any other error is the database's, and passes.
_UNWRITABLE = (psycopg.DataError, psycopg.IntegrityError, ValueError, TypeError)
_FENCED_SQLSTATE = "RS001"

log = logging.getLogger(__name__)


class Attempt(msgspec.Struct, kw_only=True):
    """A hold as billing_hold takes it; field names are its JSON's."""

    id: UUID
    request_id: UUID
    tenant_id: int
    project_id: int | None
    api_key_id: int
    upstream: str
    model: str
    end_user: str | None
    service_tier: str
    attempt: int
    byok: bool
    # None where no price is known: hard budgets refuse it, others let it pass.
    amount_pico: int | None
    estimate_pico: int | None


class Line(msgspec.Struct, kw_only=True):
    """A ledger line as billing_settle takes it; field names are its JSON's."""

    id: UUID
    kind: str
    amount_pico: int | None
    price_state: str
    price_ids: list[int]
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    input_audio_tokens: int
    output_tokens: int
    reasoning_tokens: int
    output_audio_tokens: int
    web_searches: int
    service_tier: str
    usage_source: str
    status: int
    error: str
    streamed: bool
    upstream_request_id: str
    first_byte_ms: int | None
    duration_ms: int
    saved_pico: int | None = None
    routing: dict[str, Any] | None = None


class Hold:
    """Money held for one attempt; collects what its ledger line will say.

    Entering it commits the hold. Leaving it, however that happens, hands its line to the settler.
    """

    def __init__(
        self,
        accountant: "Accountant",
        attempt: Attempt,
        tariff: Tariff,
        *,
        admitted: datetime,
        counted: Usage,
        output_tokens_max: int,
        streamed: bool,
        routing: dict[str, Any] | None,
    ) -> None:
        self.id = attempt.id
        self.upstream_request_id = ""
        # Output that passed through, in case that the provider reports no usage.
        self.counted_output_tokens = 0
        self._accountant = accountant
        self._attempt = attempt
        self._tariff = tariff
        self._counted = counted
        self.output_tokens_max = output_tokens_max
        self._streamed = streamed
        self._routing = routing
        # One moment decides the prices of hold and charge, even if they change in between.
        self._admitted = admitted
        self._started = time.monotonic()
        self._first_byte: float | None = None
        self._reported: Usage | None = None
        self._is_taken = False

    async def __aenter__(self) -> Self:
        await self._accountant.take(self._attempt, self)
        self._is_taken = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._accountant.settle(self.line(error))

    @property
    def first_byte_seconds(self) -> float | None:
        """From the hold on; None while nothing has come."""
        return None if self._first_byte is None else self._first_byte - self._started

    def observe_first_byte(self) -> None:
        if self._first_byte is None:
            self._first_byte = time.monotonic()

    def observe(self, usage: Usage | None) -> None:
        """The provider's own figures; the last ones count."""
        if usage is not None:
            self._reported = usage

    def line(self, error: BaseException | None) -> Line:
        """The ledger line of this attempt, as things stand."""
        usage = self.usage(error)
        cost = self._tariff.cost(usage, self._admitted)
        figures: dict[str, Any] = usage.figures()
        not_billed = usage is NOTHING_USED
        if not_billed:
            price_state = "priced"
        elif cost.amount_pico is None:
            price_state = "unpriced"
        else:
            price_state = "priced" if usage.source is UsageSource.REPORTED else "estimated"
        return Line(
            id=self.id,
            kind="void" if not_billed else "charge",
            amount_pico=0 if not_billed else cost.amount_pico,
            price_state=price_state,
            price_ids=[] if not_billed else cost.price_ids,
            **figures,
            status=_status(error),
            error=_code(error),
            streamed=self._streamed,
            # A header may hold anything; the ledger takes what it can print.
            upstream_request_id=self.upstream_request_id[:200].encode("ascii", "replace").decode(),
            first_byte_ms=_milliseconds(self._started, self._first_byte),
            duration_ms=_milliseconds(self._started, time.monotonic()) or 0,
            routing=self._routing,
        )

    def usage(self, error: BaseException | None = None) -> Usage:
        """What this attempt is charged for, as things stand: as reported, or else as counted."""
        if self._reported is not None:
            return self._reported
        refused = isinstance(error, UpstreamError) and not error.billable
        if not self._is_taken or (refused and self._first_byte is None):
            return NOTHING_USED
        # An estimate of ours never passes what was held for it.
        output_tokens = min(self.counted_output_tokens, self.output_tokens_max)
        return msgspec.structs.replace(self._counted, output_tokens=output_tokens)


class Accountant:
    """Holds and settles for one gateway process. Belongs to one event loop."""

    def __init__(self, info: str, prices: PriceBook) -> None:
        self._prices = prices
        self._hold_connection = Connection(info)
        self._settle_connection = Connection(info)
        self._instance_connection = Connection(info)
        self._instance = Instance(self._instance_connection)
        self._holds: Batcher[Attempt, int] = Batcher(self._send_holds)
        self._settles: Batcher[Line, None] = Batcher(
            self._send_settles, waiting_items_max=SETTLES_WAITING_MAX
        )

    async def start(self) -> None:
        await self._instance.start()

    async def stop(self) -> None:
        """Settles what is waiting, then lets go of this process's identity."""
        await self._holds.drain()
        await self._settles.drain()
        await self._instance.stop()
        for connection in (
            self._hold_connection,
            self._settle_connection,
            self._instance_connection,
        ):
            await connection.close()

    def held(
        self,
        *,
        request_id: UUID,
        tenant_id: int,
        project_id: int | None,
        api_key_id: int,
        upstream: str,
        model: str,
        most: Most,
        counted: Usage,
        streamed: bool,
        end_user: str | None = None,
        number: int = 1,
        byok: bool = False,
        routing: dict[str, Any] | None = None,
    ) -> Hold:
        """Money for the most this attempt can cost, to be entered: `async with … as hold`.

        `counted` is what to charge for its input should the provider report no usage. `end_user` is
        whom the caller makes the call for, if it says so; `number`, the attempt's among those of
        its request; `byok`, whether it uses the tenant's own key at the provider; `routing`, how
        the upstream was chosen. Entering raises BudgetExhausted, ModelNotPriced or Unavailable,
        and then no money is held.
        """
        admitted = datetime.now(UTC)
        tariff = self._prices.tariff(upstream, model)
        attempt = Attempt(
            id=uuid7(),
            request_id=request_id,
            tenant_id=tenant_id,
            project_id=project_id,
            api_key_id=api_key_id,
            upstream=upstream,
            model=model,
            end_user=end_users.bounded(end_user),
            service_tier=counted.service_tier,
            attempt=number,
            byok=byok,
            **_amounts(tariff, admitted, most, counted),
        )
        return Hold(
            self,
            attempt,
            tariff,
            admitted=admitted,
            counted=counted,
            output_tokens_max=most.output_tokens,
            streamed=streamed,
            routing=routing,
        )

    def settle(self, line: Line) -> None:
        """Hands `line` to the settler. Never waits, so no cancellation can interrupt it."""
        self._settles.submit(line)

    async def take(self, attempt: Attempt, hold: Hold) -> None:
        """Commits the hold, or raises why not."""
        for _ in range(WINDOW_ATTEMPTS_MAX):
            pending = self._holds.submit(attempt)
            try:
                verdict = await asyncio.shield(pending)
            except asyncio.CancelledError:
                # The caller left while the hold was on its way: void it whenever it arrives.
                pending.add_done_callback(lambda done: self._void_if_granted(done, hold))
                raise
            except Unavailable:
                # Unknown whether it was booked. A void of what is not there finds nothing.
                self.settle(hold.line(Unavailable("")))
                raise
            if verdict == _GRANTED:
                return
            if verdict > 0:
                raise await self._refusal(attempt, verdict)
            await budgets.open_window(self._instance_connection, -verdict, attempt.end_user)
        raise Unavailable("The windows of its budgets could not be opened.")

    def _void_if_granted(self, done: "asyncio.Future[int]", hold: Hold) -> None:
        if done.cancelled() or done.exception() is not None or done.result() == _GRANTED:
            self.settle(hold.line(asyncio.CancelledError()))

    async def _refusal(self, attempt: Attempt, budget_id: int) -> GatewayError:
        if attempt.amount_pico is None:
            return ModelNotPriced(
                f"The model `{attempt.model}` has no price yet for something that this call may "
                "use (text in, text out, or audio), so it cannot be used under a hard budget."
            )
        budget = await budgets.describe(self._instance_connection, budget_id, attempt.end_user)
        return BudgetExhausted(
            "You exceeded your current quota: this call could cost more than what is left of "
            f"{budget}."
        )

    async def _send_holds(self, attempts: Sequence[Attempt]) -> Sequence[int]:
        batch = msgspec.json.encode(attempts).decode()
        for _ in range(2):
            try:
                [(verdicts,)] = await self._hold_connection.fetch(
                    "SELECT billing_hold(%s, %s::json)", [self._instance.id, batch]
                )
            except psycopg.Error as error:
                if error.sqlstate != _FENCED_SQLSTATE:
                    raise
                log.warning("instance %d was fenced; taking a new identity", self._instance.id)
                await self._instance.register()
            else:
                return list(verdicts)
        raise Unavailable("This gateway has no identity in the ledger.")

    async def _send_settles(self, lines: Sequence[Line]) -> Sequence[None]:
        """Sends until it is done: the holds are rows, and their money is not forgotten."""
        delay = 0.05
        while True:
            try:
                await self._settle_all(lines)
                return [None] * len(lines)
            except _UNWRITABLE as error:
                if len(lines) > 1:
                    # One line that the database refuses must not keep the others from it.
                    await asyncio.gather(
                        *(self._send_settles([line]) for line in lines), return_exceptions=True
                    )
                    return [None] * len(lines)
                if _may_pass(error):
                    delay = await _waited(delay, lines)
                    continue
                # Its hold stays, and the sweeper makes it an orphan line in time.
                log.critical("ledger line %s cannot be written", lines[0].id, exc_info=True)
                raise
            except (Unavailable, psycopg.Error):
                # The database is away, read-only, or in the middle of a deployment.
                delay = await _waited(delay, lines)

    async def _settle_all(self, lines: Sequence[Line]) -> None:
        batch = msgspec.json.encode(lines).decode()
        [(settled,)] = await self._settle_connection.fetch(
            "SELECT billing_settle(%s::json)", [batch]
        )
        if len(settled) < len(lines):
            await self._settle_late(lines, set(settled))

    async def _settle_late(self, lines: Sequence[Line], settled: set[UUID]) -> None:
        """Lines whose hold was swept meanwhile, for this process was taken for dead."""
        late = [line for line in lines if line.id not in settled and line.kind == "charge"]
        if late:
            await self._settle_connection.fetch(
                "SELECT billing_correct(%s::json, true)", [msgspec.json.encode(late).decode()]
            )


def _amounts(
    tariff: Tariff, admitted: datetime, most: Most, counted: Usage
) -> dict[str, int | None]:
    """The most that the attempt can cost, and what it costs if it dies unseen."""
    highest = tariff.highest_cost(most, admitted)
    estimate = tariff.cost(counted, admitted).amount_pico
    if highest is None or estimate is None:
        return {"amount_pico": None, "estimate_pico": None}
    return {"amount_pico": highest, "estimate_pico": min(estimate, highest)}


def _may_pass(error: Exception) -> bool:
    """A month without a partition yet is no fault of the line."""
    return isinstance(error, psycopg.IntegrityError) and "no partition" in str(error)


async def _waited(delay: float, lines: Sequence[Line]) -> float:
    """Waits before the next try; returns how long to wait after that one."""
    log.warning("%d ledger lines are waiting for the database", len(lines), exc_info=True)
    await asyncio.sleep(delay)
    return min(2 * delay, SETTLE_RETRY_SECONDS_MAX)


def _status(error: BaseException | None) -> int:
    if error is None:
        return 200
    if isinstance(error, GatewayError):
        return error.status
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return CLIENT_CLOSED_REQUEST
    return 500


def _code(error: BaseException | None) -> str:
    if error is None:
        return ""
    if isinstance(error, GatewayError):
        return (error.code or error.type)[:64]
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "client_closed_request"
    return "internal_error"


def _milliseconds(started: float, ended: float | None) -> int | None:
    return None if ended is None else round((ended - started) * 1000)
