"""The ledger set right by a provider's own bill, line by line, through correction lines.

Lines that were estimated (a gateway died, a stream was cut, a caller hung up) are brought to what
the provider says it billed for the same attempt. Originals stay as they are; running it twice
changes nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from msgspec import structs

from billing.models import Entry, Price
from billing.pricing import Tariff
from runestone.lib.usage import NOTHING_USED, Usage, UsageSource

LINES_PER_STATEMENT_MAX = 500


@dataclass(frozen=True, slots=True)
class BilledAttempt:
    """One line of a provider's bill, matched by the attempt id that we sent it."""

    attempt_id: UUID
    usage: Usage


@dataclass(slots=True)
class Outcome:
    """What a reconciliation did, by attempt id."""

    corrected: list[UUID] = field(default_factory=list)
    # Billed by the provider, but the ledger has no line of this id.
    unknown: list[UUID] = field(default_factory=list)


def reconcile(bill: Iterable[BilledAttempt], *, unbilled: Iterable[UUID] = ()) -> Outcome:
    """Corrects the ledger to `bill`. `unbilled` attempts are known to be absent from the bill."""
    usages: dict[UUID, Usage] = {line.attempt_id: line.usage for line in bill}
    usages |= dict.fromkeys(unbilled, NOTHING_USED)
    outcome = Outcome()
    ids = list(usages)
    for start in range(0, len(ids), LINES_PER_STATEMENT_MAX):
        _reconcile_some(
            {each: usages[each] for each in ids[start:][:LINES_PER_STATEMENT_MAX]}, outcome
        )
    return outcome


def estimated_attempts() -> Iterable[UUID]:
    """Attempts whose line is an estimate that nobody has corrected yet."""
    corrected = Entry.objects.filter(corrects__isnull=False).values("corrects")
    return (
        Entry.objects.filter(price_state=Entry.PriceState.ESTIMATED)
        .exclude(kind=Entry.Kind.CORRECTION)
        .exclude(id__in=corrected)
        .values_list("id", flat=True)
    )


def _reconcile_some(usages: Mapping[UUID, Usage], outcome: Outcome) -> None:
    entries = Entry.objects.in_bulk(list(usages))
    outcome.unknown += [each for each in usages if each not in entries]
    bills = [_bill(entry, usages[entry.id]) for entry in entries.values()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_correct(%s::json, false)", [json.dumps(bills)])
        [corrected] = cursor.fetchone()
    outcome.corrected += corrected


def _bill(entry: Entry, usage: Usage) -> dict[str, Any]:
    # A bill that names no tier does not deny the one that the provider told us.
    usage = structs.replace(usage, service_tier=usage.service_tier or entry.service_tier)
    cost = tariff_at(entry.upstream, entry.model, entry.created).cost(usage, entry.created)
    return {
        "id": str(entry.id),
        "amount_pico": 0 if usage.source is UsageSource.NONE else cost.amount_pico,
        "price_state": "unpriced" if cost.amount_pico is None else "priced",
        "price_ids": cost.price_ids,
        **usage.figures(),
    }


def tariff_at(upstream: str, model: str, moment: datetime) -> Tariff:
    """The prices that were valid for a call admitted at `moment`."""
    rows = Price.objects.filter(upstream=upstream, model=model)
    return Tariff(row.rate for row in rows)
