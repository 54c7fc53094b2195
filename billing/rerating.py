"""The ledger rated anew: what calls cost at the prices that are known now to have been right.

A price that was wrong is closed where it became wrong (a price that ends where it begins was never
valid), and the right one is entered for that time. Then a re-rating compares each attempt's net
with what its tokens cost by the rows that are valid for its moment, and posts the differences as
corrections. Originals stay as they are; running it twice changes nothing. Calls that had no price
are rated the same way once there is one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from msgspec import Struct

from billing.models import Entry
from billing.pricing import Cost, Tariff
from billing.receipts import net_pico, net_usage
from billing.reconciliation import tariff_at
from runestone.lib.usage import Usage, UsageSource

ATTEMPTS_PER_STATEMENT_MAX = 500


class Scope(Struct, frozen=True):
    """Which attempts: of one upstream's model, admitted in [since, until)."""

    upstream: str
    model: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Rerated:
    """An attempt whose net is not what its tokens cost."""

    entry: Entry
    usage: Usage
    # None while it had no price.
    was_pico: int | None
    cost: Cost

    @property
    def difference_pico(self) -> int:
        return (self.cost.amount_pico or 0) - (self.was_pico or 0)


@dataclass(slots=True)
class Sum:
    """Of one tenant's attempts that change."""

    attempts: int = 0
    # Of them, those that had no price.
    unpriced: int = 0
    was_pico: int = 0
    difference_pico: int = 0

    def add(self, rerated: Rerated) -> None:
        self.attempts += 1
        self.unpriced += rerated.was_pico is None
        self.was_pico += rerated.was_pico or 0
        self.difference_pico += rerated.difference_pico


def preview(scope: Scope) -> dict[str, Sum]:
    """What would change, by tenant. Changes nothing."""
    sums: dict[str, Sum] = {}
    for rerated in _rerated(scope):
        sums.setdefault(rerated.entry.tenant.slug, Sum()).add(rerated)
    return sums


def post(scope: Scope) -> dict[str, Sum]:
    """Posts the corrections; what was posted, by tenant."""
    sums: dict[str, Sum] = {}
    batch: list[Rerated] = []
    for rerated in _rerated(scope):
        batch.append(rerated)
        if len(batch) == ATTEMPTS_PER_STATEMENT_MAX:
            _post(batch, sums)
            batch.clear()
    if batch:
        _post(batch, sums)
    return sums


def _post(batch: list[Rerated], sums: dict[str, Sum]) -> None:
    bills = [_bill(each) for each in batch]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT billing_correct(%s::json, false)", [json.dumps(bills)])
        corrected = set(cursor.fetchone()[0])
    for rerated in batch:
        if rerated.entry.id in corrected:
            sums.setdefault(rerated.entry.tenant.slug, Sum()).add(rerated)


def _bill(rerated: Rerated) -> dict[str, Any]:
    return {
        "id": str(rerated.entry.id),
        "amount_pico": rerated.cost.amount_pico,
        "price_state": "priced" if rerated.usage.source is UsageSource.REPORTED else "estimated",
        "price_ids": rerated.cost.price_ids,
        **rerated.usage.figures(),
    }


def _rerated(scope: Scope) -> Iterator[Rerated]:
    tariff = tariff_at(scope.upstream, scope.model, scope.since)
    for originals in _batches(scope):
        corrections = Entry.objects.filter(corrects__in=[entry.id for entry in originals])
        by_original: dict[Any, list[Entry]] = {}
        for correction in corrections.order_by("posted"):
            by_original.setdefault(correction.corrects, []).append(correction)
        for original in originals:
            rerated = _compared([original, *by_original.get(original.id, [])], tariff)
            if rerated is not None:
                yield rerated


def _compared(lines: list[Entry], tariff: Tariff) -> Rerated | None:
    latest, was = lines[-1], net_pico(lines)
    if was is not None and not latest.price_ids:
        # Its amount came from elsewhere: an orphan's estimate, a void, a provider's own statement.
        return None
    usage = net_usage(lines)
    cost = tariff.cost(usage, lines[0].created)
    if cost.amount_pico is None or cost.amount_pico == was:
        return None
    return Rerated(lines[0], usage, was, cost)


def _batches(scope: Scope) -> Iterator[list[Entry]]:
    """Originals in order of admission, by key: a ledger of any size, in little memory."""
    originals: QuerySet[Entry] = (
        Entry.objects.filter(
            upstream=scope.upstream,
            model=scope.model,
            created__gte=scope.since,
            created__lt=scope.until,
            kind__in=(Entry.Kind.CHARGE, Entry.Kind.ORPHAN),
        )
        .select_related("tenant")
        .order_by("created", "id")
    )
    batch = list(originals[:ATTEMPTS_PER_STATEMENT_MAX])
    while batch:
        yield batch
        last = batch[-1]
        after = Q(created=last.created, id__gt=last.id) | Q(created__gt=last.created)
        batch = list(originals.filter(after)[:ATTEMPTS_PER_STATEMENT_MAX])
