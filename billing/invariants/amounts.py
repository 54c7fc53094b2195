"""I5: every amount recomputed from the quantities and price rows that stand on its own lines.

The arithmetic is the receipts'. A correction carries differences, so it is its attempt, as it
stood when the correction was posted, that is recomputed. What no arithmetic can give is explained:
an unknown price, a gateway that died.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from billing.invariants.check import Finding, Scope, rows
from billing.models import Entry, Price
from billing.pricing import Tariff
from billing.receipts import QUANTITIES, tariff_of
from runestone.lib.money import format_usd
from runestone.lib.usage import Usage

# Combinations of price rows kept in memory; each model uses a few.
TARIFFS_MAX = 10_000


class _Line(NamedTuple):
    """The columns of `_LINES`; `quantities` in the order of QUANTITIES."""

    id: UUID
    corrects: UUID | None
    kind: str
    upstream: str
    model: str
    amount_pico: int | None
    price_state: str
    price_ids: tuple[int, ...]
    held_pico: int
    service_tier: str
    quantities: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Standing:
    """An attempt as it stood when `line` was posted: quantities and amount are net."""

    line: _Line
    usage: Usage
    stated_pico: int | None


class _Tariffs:
    """What the named price rows charge. They are read inside the snapshot, each set once."""

    def __init__(self) -> None:
        self.of = lru_cache(TARIFFS_MAX)(self._read)

    def _read(self, upstream: str, model: str, price_ids: tuple[int, ...]) -> Tariff | str:
        """In words why there is none."""
        prices = list(Price.objects.filter(id__in=price_ids))
        if len(prices) != len(set(price_ids)):
            return "a price row that it names is gone"
        if any((price.upstream, price.model) != (upstream, model) for price in prices):
            return "it names a price of another upstream or model"
        return tariff_of(prices)


def recompute(scope: Scope) -> Iterator[Finding]:
    tariffs = _Tariffs()
    lines = map(_line, rows(_LINES, scope))
    for _, attempt in groupby(lines, key=lambda line: line.corrects or line.id):
        explained = None
        for finding in _judged(attempt, tariffs):
            if finding is not None and not finding.reason:
                yield finding
            # A later line may settle what an earlier one left open.
            explained = finding
        if explained is not None and explained.reason:
            yield explained


def _line(row: tuple[Any, ...]) -> _Line:
    line = _Line._make((*row[: -len(QUANTITIES)], row[-len(QUANTITIES) :]))
    return line._replace(price_ids=tuple(line.price_ids))


def _judged(attempt: Iterator[_Line], tariffs: _Tariffs) -> Iterator[Finding | None]:
    totals = (0,) * len(QUANTITIES)
    stated: int | None = None
    for line in attempt:
        totals = tuple(map(sum, zip(totals, line.quantities, strict=True)))
        if line.amount_pico is not None:
            stated = (stated or 0) + line.amount_pico
        named: dict[str, Any] = dict(zip(QUANTITIES, totals, strict=True))
        try:
            usage = Usage(**named, service_tier=line.service_tier)
        except ValueError:
            yield _found(line, "its tokens contradict each other")
        else:
            yield _judge(_Standing(line, usage, stated), tariffs)


def _judge(standing: _Standing, tariffs: _Tariffs) -> Finding | None:
    line, stated = standing.line, standing.stated_pico
    if stated is None:
        return _found(line, "it has no amount", "no price was known: on the work list")
    if not line.price_ids:
        return _without_prices(standing, stated)
    tariff = tariffs.of(line.upstream, line.model, line.price_ids)
    if isinstance(tariff, str):
        return _found(line, tariff)
    computed = tariff.cost(standing.usage, _ANY_MOMENT).amount_pico
    if computed is None:
        return _found(line, "the price rows that it names do not cover its quantities")
    if computed != stated:
        says, gives = format_usd(stated), format_usd(computed)
        return _found(line, f"it says {says}, its price rows give {gives}")
    return None


def _without_prices(standing: _Standing, stated: int) -> Finding | None:
    line = standing.line
    is_unused = not any(standing.usage.components())
    if stated == 0 and is_unused and line.kind != Entry.Kind.ORPHAN:
        return None
    if line.kind == Entry.Kind.ORPHAN and is_unused and stated <= line.held_pico:
        words = f"it says {format_usd(stated)}, of {format_usd(line.held_pico)} held"
        return _found(line, words, "its gateway died: estimated until the provider's bill comes")
    if line.kind == Entry.Kind.CORRECTION and line.price_state == Entry.PriceState.ESTIMATED:
        words = f"it leaves the amount at {format_usd(stated)}"
        return _found(line, words, "no price was known for the usage on the provider's bill")
    return _found(line, f"it says {format_usd(stated)}, and names no price row")


def _found(line: _Line, problem: str, reason: str = "") -> Finding:
    return Finding(f"line {line.id}", problem, reason)


# The rows of `tariff_of` are valid at any.
_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
_LINES = f"""
    SELECT id, corrects, kind, upstream, model, amount_pico, price_state, price_ids, held_pico,
           service_tier, {", ".join(QUANTITIES)}
    FROM billing_entry WHERE created >= %(since)s::timestamptz
    ORDER BY coalesce(corrects, id), corrects IS NOT NULL, posted
"""  # noqa: S608 -- the names are our own
