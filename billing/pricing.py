"""What usage costs: quantities times rates, exactly, rounded once.

A component without a price of its own falls back to the one it is a kind of (a cached token is an
input token). Where no fallback has a price either, the price is unknown, and unknown is never $0.
A service tier has prices of its own, and no fallback but for what is charged by the call.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import lcm

from msgspec import Struct

from runestone.lib.database import Connection
from runestone.lib.money import PICO_PER_USD, divide_half_even
from runestone.lib.usage import STANDARD, Component, Usage

FALLBACKS = {
    Component.CACHED_INPUT: Component.INPUT,
    Component.CACHE_WRITE: Component.INPUT,
    Component.REASONING: Component.OUTPUT,
}
# Charged by the call, whatever service tier its tokens are charged in.
PER_CALL = (Component.REQUEST, Component.WEB_SEARCH)


class Rate(Struct, frozen=True):
    """One price row: `numerator / denominator` pico-USD a unit, in lowest terms."""

    price_id: int
    component: Component
    context_from: int
    numerator: int
    denominator: int
    valid_from: datetime
    valid_to: datetime | None
    # Empty for the standard one.
    service_tier: str = ""

    def is_valid_at(self, moment: datetime) -> bool:
        return self.valid_from <= moment and (self.valid_to is None or moment < self.valid_to)


def rate(
    price_id: int,
    component: str,
    usd: Decimal,
    per: int,
    context_from: int,
    valid_from: datetime,
    valid_to: datetime | None,
    service_tier: str,
) -> Rate:
    """A price row, its decimal dollars turned into an exact ratio of integers."""
    ratio = Fraction(usd) * PICO_PER_USD / per
    return Rate(
        price_id,
        Component(component),
        context_from,
        ratio.numerator,
        ratio.denominator,
        valid_from,
        valid_to,
        service_tier,
    )


class Charge(Struct, frozen=True):
    """One component of a cost: `quantity` units at `rate`."""

    component: Component
    quantity: int
    rate: Rate


class Cost(Struct, frozen=True):
    """`amount_pico` is None where the price of something used is unknown."""

    amount_pico: int | None
    charges: tuple[Charge, ...] = ()

    @property
    def price_ids(self) -> list[int]:
        return sorted({charge.rate.price_id for charge in self.charges})


UNPRICED = Cost(None)


class Tier(Struct, frozen=True):
    """What holds for calls of at least `context_from` input tokens, fallbacks resolved.

    The highest rates are over all tiers up to this one: a call that is bounded by so many tokens
    may use fewer and fall into a lower tier, which need not be the cheaper one.
    """

    context_from: int
    rates: dict[Component, Rate]
    highest_input: Rate | None
    highest_output: Rate | None
    highest_request: Rate | None
    highest_search: Rate | None


class Schedule(Struct, frozen=True):
    """Prices during a time in which none begins or ends: [starts, ends), None unbounded."""

    starts: datetime | None
    ends: datetime | None
    tiers: tuple[Tier, ...]

    def covers(self, moment: datetime) -> bool:
        return (self.starts is None or self.starts <= moment) and (
            self.ends is None or moment < self.ends
        )

    def tier(self, input_tokens: int) -> Tier:
        """The highest one that so many tokens reach; the last one begins at 0."""
        return next(tier for tier in self.tiers if tier.context_from <= input_tokens)


class Timetable:
    """The price rows of one service tier, past, present and future."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._rates = list(rates)
        self._schedule = self._schedule_at(datetime.now(UTC))

    def at(self, moment: datetime) -> Schedule:
        if not self._schedule.covers(moment):
            self._schedule = self._schedule_at(moment)
        return self._schedule

    def _schedule_at(self, moment: datetime) -> Schedule:
        valid = [rate for rate in self._rates if rate.is_valid_at(moment)]
        changes = {rate.valid_from for rate in self._rates}
        changes |= {rate.valid_to for rate in self._rates if rate.valid_to is not None}
        steps = sorted({0, *(rate.context_from for rate in valid)}, reverse=True)
        return Schedule(
            max((change for change in changes if change <= moment), default=None),
            min((change for change in changes if change > moment), default=None),
            tuple(_tier(step, valid) for step in steps),
        )


class Most(Struct, frozen=True):
    """The most that a call can use.

    `service_tier` is the one it asks for, which a provider may or may not grant; None leaves the
    choice to the provider. `audio`: whether some of the tokens may be audio, which has no fallback
    to the price of text.
    """

    input_tokens: int
    output_tokens: int = 0
    web_searches: int = 0
    service_tier: str | None = ""
    audio: bool = False


class Tariff:
    """The price rows of one upstream's model."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        tiers: dict[str, list[Rate]] = {STANDARD: []}
        for rate in rates:
            tiers.setdefault(rate.service_tier, []).append(rate)
        self._timetables = {
            name: Timetable(rows if name == STANDARD else with_per_call(rows, tiers[STANDARD]))
            for name, rows in tiers.items()
        }

    def cost(self, usage: Usage, moment: datetime) -> Cost:
        """What `usage` costs for a call admitted at `moment`."""
        timetable = self._timetables.get(usage.service_tier, _NEVER)
        rates = timetable.at(moment).tier(usage.input_tokens).rates
        charges: list[Charge] = []
        for component, quantity in usage.components():
            rate = rates.get(component)
            if rate is None:
                return UNPRICED
            charges.append(Charge(component, quantity, rate))
        if (per_request := rates.get(Component.REQUEST)) is not None:
            charges.append(Charge(Component.REQUEST, 1, per_request))
        return Cost(total(charges), tuple(charges))

    def highest_cost(self, most: Most, moment: datetime) -> int | None:
        """The most that so much can cost, whatever kinds it turns out to be, in pico-USD.

        None where a price is unknown that may be needed.
        """
        costs = [_highest_cost(each.at(moment), most) for each in self._serving(most.service_tier)]
        known = [cost for cost in costs if cost is not None]
        return max(known) if len(known) == len(costs) else None

    def highest_rate(self, moment: datetime, service_tier: str | None) -> Fraction | None:
        """The most that any token can cost, in pico-USD; None where no price is known."""
        rates: list[Rate] = []
        for timetable in self._serving(service_tier):
            highest = timetable.at(moment).tiers[0]
            found = [rate for rate in (highest.highest_input, highest.highest_output) if rate]
            if not found:
                return None
            rates += found
        return max(Fraction(rate.numerator, rate.denominator) for rate in rates)

    def rate(self, component: Component, moment: datetime) -> Fraction | None:
        """What a unit costs in the lowest tier, in pico-USD; None where no price is known."""
        found = self._timetables[STANDARD].at(moment).tier(0).rates.get(component)
        return None if found is None else Fraction(found.numerator, found.denominator)

    def _serving(self, service_tier: str | None) -> Iterable[Timetable]:
        """Of the tiers that may serve a call: the one it asks for, or the standard one instead."""
        if service_tier is None:
            return self._timetables.values()
        asked = self._timetables.get(service_tier, _NEVER)
        return (asked,) if service_tier == STANDARD else (asked, self._timetables[STANDARD])


def with_per_call(rows: list[Rate], standard: Iterable[Rate]) -> list[Rate]:
    own = {rate.component for rate in rows}
    return rows + [r for r in standard if r.component in PER_CALL and r.component not in own]


def _highest_cost(schedule: Schedule, most: Most) -> int | None:
    tier = schedule.tier(most.input_tokens)
    if tier.highest_input is None or (most.output_tokens and tier.highest_output is None):
        return None
    if most.audio and not {Component.INPUT_AUDIO, Component.OUTPUT_AUDIO} <= tier.rates.keys():
        return None
    charges = [Charge(Component.INPUT, most.input_tokens, tier.highest_input)]
    if tier.highest_output is not None:
        charges.append(Charge(Component.OUTPUT, most.output_tokens, tier.highest_output))
    if most.web_searches:
        if tier.highest_search is None:
            return None
        charges.append(Charge(Component.WEB_SEARCH, most.web_searches, tier.highest_search))
    if tier.highest_request is not None:
        charges.append(Charge(Component.REQUEST, 1, tier.highest_request))
    return total(charges)


def _tier(context_from: int, valid: Iterable[Rate]) -> Tier:
    """The tier that begins at `context_from`, of the rates that are valid now."""
    reachable = sorted(
        (rate for rate in valid if rate.context_from <= context_from),
        key=lambda rate: rate.context_from,
    )
    # The highest tier that a component has comes last, and so stays.
    rates = {rate.component: rate for rate in reachable}
    own = dict(rates)
    for component, fallback in FALLBACKS.items():
        if component not in own and fallback in own:
            rates[component] = own[fallback]
    return Tier(
        context_from,
        rates,
        _highest(reachable, _INPUT_KINDS) if Component.INPUT in rates else None,
        _highest(reachable, _OUTPUT_KINDS) if Component.OUTPUT in rates else None,
        _highest(reachable, (Component.REQUEST,)) if Component.REQUEST in rates else None,
        _highest(reachable, (Component.WEB_SEARCH,)) if Component.WEB_SEARCH in rates else None,
    )


def _highest(rates: Iterable[Rate], kinds: tuple[Component, ...]) -> Rate:
    return max(
        (rate for rate in rates if rate.component in kinds),
        key=lambda rate: Fraction(rate.numerator, rate.denominator),
    )


class PriceBook:
    """All tariffs, in memory, by upstream and model."""

    def __init__(self) -> None:
        self._tariffs: dict[tuple[str, str], Tariff] = {}

    def tariff(self, upstream: str, model: str) -> Tariff:
        """An empty one, under which everything is unpriced, where there are no rows."""
        return self._tariffs.get((upstream, model), _NO_PRICES)

    async def reload(self, connection: Connection) -> None:
        rates: dict[tuple[str, str], list[Rate]] = {}
        for upstream, model, *row in await connection.fetch(_PRICES):
            rates.setdefault((upstream, model), []).append(rate(*row))
        self._tariffs = {key: Tariff(rows) for key, rows in rates.items()}


def total(charges: Sequence[Charge]) -> int:
    """The exact sum of quantity times rate, rounded once, half to even, to a pico-dollar."""
    if all(charge.rate.denominator == 1 for charge in charges):
        return sum(charge.quantity * charge.rate.numerator for charge in charges)
    denominator = lcm(*(charge.rate.denominator for charge in charges))
    numerator = sum(
        charge.quantity * charge.rate.numerator * (denominator // charge.rate.denominator)
        for charge in charges
    )
    return divide_half_even(numerator, denominator)


_INPUT_KINDS = (
    Component.INPUT,
    Component.CACHED_INPUT,
    Component.CACHE_WRITE,
    Component.CACHE_WRITE_1H,
    Component.INPUT_AUDIO,
)
_OUTPUT_KINDS = (Component.OUTPUT, Component.REASONING, Component.OUTPUT_AUDIO)
_NEVER = Timetable(())
_NO_PRICES = Tariff(())

# Rows that ended long ago serve receipts only, which read them by id.
_PRICES = """
    SELECT upstream, model, id, component, usd, per, context_from, valid_from, valid_to,
           service_tier
    FROM billing_price WHERE valid_to IS NULL OR valid_to > now() - interval '1 day'
"""
