"""A line's receipt: its cost recomputed from its own tokens and the price rows that it names.

Nothing is looked up by time: prices may have been closed since, but a named row never changes. So
a receipt says today what it said when the line was written, or shows that the two disagree.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from msgspec import structs

from billing.models import Entry, Price
from billing.pricing import Charge, Rate, Tariff
from runestone.lib.money import format_usd
from runestone.lib.usage import Usage, UsageSource

QUANTITIES = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "web_searches",
)


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """Component times rate."""

    component: str
    quantity: int
    price: Price
    # In pico-USD, exactly.
    amount: Fraction

    @property
    def is_fallback(self) -> bool:
        """The component has no price of its own and is charged as the one it is a kind of."""
        return self.price.component != self.component


@dataclass(frozen=True, slots=True)
class Receipt:
    """How an amount came about. Without lines, `words` says why there is no arithmetic."""

    usage: Usage
    # What the ledger says; None while no price is known.
    stated_pico: int | None
    lines: tuple[ReceiptLine, ...] = ()
    # The lines' sum, rounded once; None where there is nothing to compute.
    computed_pico: int | None = None
    words: str = ""

    @property
    def exact(self) -> Fraction:
        """The lines' sum before rounding, in pico-USD."""
        return sum((line.amount for line in self.lines), Fraction(0))

    @property
    def is_right(self) -> bool | None:
        """Whether the arithmetic gives what the ledger says; None where there is none."""
        return None if self.computed_pico is None else self.computed_pico == self.stated_pico


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a provider: its line, and the corrections of it in the order of posting."""

    original: Entry
    corrections: tuple[Entry, ...]
    receipt: Receipt

    @property
    def lines(self) -> tuple[Entry, ...]:
        return (self.original, *self.corrections)


def receipt(entry: Entry) -> Receipt:
    """The receipt of one line. A correction's is that of its attempt as it then stood."""
    if entry.corrects is None:
        return _receipt([entry], _prices([entry]))
    lines = Entry.objects.filter(request_id=entry.request_id, posted__lte=entry.posted)
    known = [line for line in _by_posting(lines) if entry.corrects in (line.id, line.corrects)]
    return _receipt(known, _prices(known))


def attempts(entries: Iterable[Entry]) -> list[Attempt]:
    """The lines of one call, grouped into its attempts, in order; one query for all prices."""
    entries = _by_posting(entries)
    prices = _prices(entries)
    found = []
    for original in (entry for entry in entries if entry.corrects is None):
        corrections = tuple(entry for entry in entries if entry.corrects == original.id)
        found.append(Attempt(original, corrections, _receipt([original, *corrections], prices)))
    return sorted(found, key=lambda attempt: (attempt.original.created, attempt.original.id))


def tariff_of(named: Iterable[Price]) -> Tariff:
    """What the rows that a line names charge, at any moment.

    It names them, so they were valid then, whatever their periods were cut to since.
    """
    return Tariff(map(_rate, named))


def net_pico(lines: Iterable[Entry]) -> int | None:
    """What the lines come to; None while there are some and none of them has a price."""
    amounts = [line.amount_pico for line in lines]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known or not amounts else None


def _receipt(lines: Sequence[Entry], prices: Mapping[int, Price]) -> Receipt:
    latest, stated = lines[-1], net_pico(lines)
    try:
        usage = net_usage(lines)
    except ValueError as contradiction:
        return Receipt(Usage(), stated, words=f"Its tokens contradict each other: {contradiction}.")
    if stated is None:
        return Receipt(usage, None, words=_UNPRICED)
    named = [prices[each] for each in latest.price_ids if each in prices]
    if len(named) != len(latest.price_ids):
        return Receipt(usage, stated, words="A price row that this line names is gone.")
    if not named:
        return Receipt(usage, stated, words=_words(latest, stated))
    return _computed(usage, stated, named, latest)


def _computed(usage: Usage, stated: int, named: Sequence[Price], entry: Entry) -> Receipt:
    by_id = {price.id: price for price in named}
    cost = tariff_of(named).cost(usage, entry.created)
    if cost.amount_pico is None:
        return Receipt(usage, stated, words="The price rows it names do not cover its tokens.")
    lines = tuple(
        ReceiptLine(
            charge.component.value,
            charge.quantity,
            by_id[charge.rate.price_id],
            _exactly(charge),
        )
        for charge in cost.charges
    )
    return Receipt(usage, stated, lines, cost.amount_pico)


def _rate(price: Price) -> Rate:
    return structs.replace(price.rate, valid_from=_ALWAYS, valid_to=None)


def _exactly(charge: Charge) -> Fraction:
    return Fraction(charge.quantity * charge.rate.numerator, charge.rate.denominator)


def net_usage(lines: Sequence[Entry]) -> Usage:
    """What an attempt used in all: corrections carry differences, which alone are no usage."""
    totals = {name: sum(getattr(line, name) for line in lines) for name in QUANTITIES}
    return Usage(
        **totals,
        service_tier=lines[-1].service_tier,
        source=UsageSource(lines[-1].usage_source),
    )


def _prices(entries: Iterable[Entry]) -> dict[int, Price]:
    ids = {each for entry in entries for each in entry.price_ids}
    return Price.objects.in_bulk(ids) if ids else {}


def _by_posting(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.posted, entry.corrects is not None))


def _words(entry: Entry, stated: int) -> str:
    if entry.kind == Entry.Kind.VOID:
        return _VOID
    if entry.kind == Entry.Kind.ORPHAN:
        return _ORPHAN
    if entry.kind == Entry.Kind.CACHED:
        return _CACHED + _saved(entry.saved_pico)
    if stated == 0:
        return "Nothing was used, so nothing is charged."
    return "The amount was stated by a reconciliation; no price row was used."


def _saved(pico: int | None) -> str:
    if pico is None:
        return " What it saved is unknown, for no price is known."
    return f" At the prices of that moment the call would have cost {format_usd(pico)}."


_ALWAYS = datetime.min.replace(tzinfo=UTC)
_UNPRICED = (
    "No price was known for this model when the call was made. Unknown is not free: the line "
    "stays on the work list until a price is entered and a correction posts the amount."
)
_VOID = "The provider did not answer with anything that it bills, so nothing is charged."
_CACHED = "The answer came from the response cache. No provider was called, so nothing is charged."
_ORPHAN = (
    "The gateway died before the provider's usage was known. The amount is an estimate set by "
    "policy, from what was held; the provider's bill corrects it."
)
