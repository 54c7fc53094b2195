"""What the ledger says of a run, and what the providers' bill says."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Self

from billing.models import Entry
from providers.breaker import JITTER, OPEN_SECONDS_MIN
from tests.cast import Account

# No upstream is without an attempt for so long unless its breaker is open.
GAP = timedelta(seconds=OPEN_SECONDS_MIN * (1 - JITTER) - 0.1)
# The ledger keeps an attempt's duration in whole milliseconds.
ROUNDING = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Balance:
    """In pico-USD."""

    bill: int
    ledger: int

    @classmethod
    def of(cls, bill: Sequence[dict[str, Any]], accounts: Collection[Account]) -> Self:
        return cls(sum(line["amount_pico"] for line in bill), posted(accounts))

    def __str__(self) -> str:
        return f"bill {self.bill:,}, ledger {self.ledger:,}, difference {self.ledger - self.bill:,}"


def posted(accounts: Collection[Account]) -> int:
    lines = Entry.objects.filter(tenant__in=[account.tenant for account in accounts])
    return sum(line.amount_pico or 0 for line in lines)


def failures_put_up_with(attempts: Sequence[Entry]) -> int:
    """How many failures of an upstream were known when it was last asked, before it was left alone.

    What was under way at that moment, and failed later, could not be helped.
    """
    begun = sorted(line.created for line in attempts)
    last = next(one for one, after in pairwise(begun) if after - one > GAP)
    return sum(is_fault(line) and ended(line) < last - ROUNDING for line in attempts)


def is_fault(line: Entry) -> bool:
    """Of the upstream: a rate limit is none, nor is a caller that leaves."""
    return line.status >= 500


def ended(line: Entry) -> datetime:
    return line.created + timedelta(milliseconds=line.duration_ms)
