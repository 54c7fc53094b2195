"""The contract of a source: it looks models up by a vendor's own names, and never guesses."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from runestone.lib.usage import STANDARD, Component

TOKENS_PER_PRICE = 1_000_000
# A price row has so many: a pico-dollar.
USD_PLACES_MAX = 12
# And so many before the point.
USD_MAX = Decimal(10**12)


class SourceError(Exception):
    """The source cannot be read, or is not what it should be."""


class Facts(Struct, frozen=True, kw_only=True):
    """None and empty mean that the source does not say."""

    family: str = ""
    # What the model is for ("chat", "embedding"), and what it can do besides.
    mode: str = ""
    flags: frozenset[str] = frozenset()
    # Input and output together; the most input alone is another quantity.
    context_window: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    # The last day on which the vendor promises to serve it.
    retires: date | None = None


class PublishedPrice(Struct, frozen=True, kw_only=True):
    """US dollars for `per` units. `above`: holds for calls of more input tokens than that."""

    component: Component
    usd: Decimal
    per: int = TOKENS_PER_PRICE
    above: int = 0
    service_tier: str = STANDARD


class PublishedModel(Struct, frozen=True, kw_only=True):
    """A model under the name that was asked for.

    `stands_for` are the source's own names for what it prices. Only where that is the one name
    asked for are its prices certain: an alias may mean another model tomorrow.
    """

    name: str
    stands_for: tuple[str, ...]
    facts: Facts
    # Where its prices come from, with the version.
    origin: str
    prices: tuple[PublishedPrice, ...] = ()
    # What is published but not said by any price above, in words.
    left_out: tuple[str, ...] = ()
    # Components whose standard price another source contradicts: what that one says.
    doubts: dict[Component, str] = {}

    @property
    def is_certain(self) -> bool:
        return self.stands_for == (self.name,)


class Source(Protocol):
    title: str

    def providers(self) -> frozenset[str]:
        """The source's names for vendors."""
        ...

    def model(self, provider: str, name: str) -> PublishedModel | None:
        """None if the source does not know it. Raises SourceError if it is there twice."""
        ...


def pairs(given: Iterable[str]) -> dict[str, str]:
    """An option's NAME=NAME, several times. Names may have an equals sign, their targets not."""
    found = {}
    for text in given:
        name, equals, target = text.rpartition("=")
        if not (name and equals and target):
            raise SourceError(f"{text!r} is no NAME=NAME")
        found[name] = target
    return found


def vendors(source: Source, given: Iterable[str]) -> dict[str, str]:
    """As `pairs`; each target is a vendor that the source knows."""
    found = pairs(given)
    strangers = set(found.values()) - source.providers()
    if strangers:
        known = ", ".join(sorted(source.providers()))
        raise SourceError(f"{source.title} has no provider {min(strangers)!r}; it has {known}")
    return found


class PriceList:
    """Gathers a model's prices, and words for those that are not to be believed or kept."""

    def __init__(self) -> None:
        self.prices: list[PublishedPrice] = []
        self.left_out: list[str] = []

    def add(self, price: PublishedPrice) -> None:
        fault = _fault(price.usd)
        if fault:
            tier = f" ({price.service_tier})" if price.service_tier else ""
            above = f" above {price.above:,} tokens" if price.above else ""
            self.left_out.append(f"{price.component}{tier}{above}: {fault}")
        else:
            self.prices.append(price)


def _fault(usd: Decimal) -> str:
    """Why this cannot become a price, or nothing."""
    if not usd.is_finite() or usd < 0 or usd >= USD_MAX:
        return f"{usd} is no price"
    if usd == 0:
        # Sources write 0 for what they do not know.
        return "published as $0, which may mean unknown"
    exponent = usd.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > USD_PLACES_MAX:
        return f"${usd} has more than {USD_PLACES_MAX} decimals"
    return ""
