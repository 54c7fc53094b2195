"""What usage costs: quantities times rates, exactly, rounded once.

A component without a price of its own falls back to the one it is a kind of (a cached token is an
input token). Where no fallback has a price either, the price is unknown, and unknown is never $0.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import lcm

from msgspec import Struct

from runestone.lib.database import Connection
from runestone.lib.money import PICO_PER_USD, divide_half_even
from runestone.lib.usage import Component, Usage

FALLBACKS = {
    Component.CACHED_INPUT: Component.INPUT,
    Component.CACHE_WRITE: Component.INPUT,
    Component.REASONING: Component.OUTPUT,
}


class Rate(Struct, frozen=True):
    """One price row: `numerator / denominator` pico-USD a unit, in lowest terms or not."""

    price_id: int
    component: Component
    context_from: int
    numerator: int
    denominator: int
    valid_from: datetime
    valid_to: datetime | None

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
) -> Rate:
    """A price row, its decimal dollars turned into an exact ratio of integers."""
    numerator, denominator = (usd * PICO_PER_USD).as_integer_ratio()
    return Rate(
        price_id,
        Component(component),
        context_from,
        numerator,
        denominator * per,
        valid_from,
        valid_to,
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


class Tariff:
    """The price rows of one upstream's model."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._rates: dict[Component, list[Rate]] = {}
        # The highest tier first: the first one that a call reaches is its tier.
        for each in sorted(rates, key=lambda rate: -rate.context_from):
            self._rates.setdefault(each.component, []).append(each)

    def cost(self, usage: Usage, moment: datetime) -> Cost:
        """What `usage` costs for a call admitted at `moment`."""
        charges: list[Charge] = []
        quantities = [*usage.components()]
        if Component.REQUEST in self._rates:
            quantities.append((Component.REQUEST, 1))
        for component, quantity in quantities:
            found = self._rate(component, usage.input_tokens, moment)
            if found is None and component is Component.REQUEST:
                continue
            if found is None:
                return UNPRICED
            charges.append(Charge(component, quantity, found))
        return Cost(total(charges), tuple(charges))

    def highest_cost(
        self, input_tokens: int, output_tokens: int, moment: datetime, *, audio: bool = False
    ) -> int | None:
        """The most that so many tokens can cost, whatever kinds they turn out to be, in pico-USD.

        `audio`: whether some may be audio, which has no fallback to the price of text. None where
        a price is unknown that may be needed.
        """
        needed = [Component.INPUT, Component.OUTPUT]
        if audio:
            needed += [Component.INPUT_AUDIO, Component.OUTPUT_AUDIO]
        if any(self._rate(component, input_tokens, moment) is None for component in needed):
            return None
        highest_input = self._highest(_INPUT_KINDS, input_tokens, moment)
        highest_output = self._highest(_OUTPUT_KINDS, input_tokens, moment)
        charges = [
            Charge(Component.INPUT, input_tokens, highest_input),
            Charge(Component.OUTPUT, output_tokens, highest_output),
        ]
        if self._rate(Component.REQUEST, input_tokens, moment) is not None:
            highest_request = self._highest((Component.REQUEST,), input_tokens, moment)
            charges.append(Charge(Component.REQUEST, 1, highest_request))
        return total(charges)

    def _rate(self, component: Component, input_tokens: int, moment: datetime) -> Rate | None:
        for each in self._rates.get(component, ()):
            if each.context_from <= input_tokens and each.is_valid_at(moment):
                return each
        fallback = FALLBACKS.get(component)
        return None if fallback is None else self._rate(fallback, input_tokens, moment)

    def _highest(self, kinds: tuple[Component, ...], input_tokens: int, moment: datetime) -> Rate:
        """The dearest rate of these kinds, in any tier that a call of this size can fall into."""
        reachable = [
            each
            for kind in kinds
            for each in self._rates.get(kind, ())
            if each.context_from <= input_tokens and each.is_valid_at(moment)
        ]
        return max(reachable, key=_per_unit)


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


def total(charges: Iterable[Charge]) -> int:
    """The exact sum of quantity times rate, rounded once, half to even, to a pico-dollar."""
    charges = list(charges)
    denominator = lcm(*(charge.rate.denominator for charge in charges))
    numerator = sum(
        charge.quantity * charge.rate.numerator * (denominator // charge.rate.denominator)
        for charge in charges
    )
    return divide_half_even(numerator, denominator)


def _per_unit(rate: Rate) -> Fraction:
    return Fraction(rate.numerator, rate.denominator)


_NO_PRICES = Tariff(())
_INPUT_KINDS = (
    Component.INPUT,
    Component.CACHED_INPUT,
    Component.CACHE_WRITE,
    Component.INPUT_AUDIO,
)
_OUTPUT_KINDS = (Component.OUTPUT, Component.REASONING, Component.OUTPUT_AUDIO)

# Rows that ended long ago serve receipts only, which read them by id.
_PRICES = """
    SELECT upstream, model, id, component, usd, per, context_from, valid_from, valid_to
    FROM billing_price WHERE valid_to IS NULL OR valid_to > now() - interval '1 day'
"""
