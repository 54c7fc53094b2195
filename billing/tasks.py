"""Billing's periodic work; runestone/celery.py says when."""

import logging
from datetime import timedelta

from celery import shared_task
from django.db import connection
from django.utils import timezone
from msgspec import to_builtins

from billing import alerts, rollups, sweeper
from billing.models import Proof
from billing.verify import verify

PARTITION_MONTHS_AHEAD = 3
# Proofs are kept for so long: some 2,250 of them.
PROOF_DAYS_MAX = 90

log = logging.getLogger(__name__)


@shared_task
def sweep() -> None:
    """Resolves the holds of gateways that died."""
    resolved = sweeper.sweep()
    if resolved:
        log.warning("%d holds of dead gateways resolved as orphan lines", resolved)


@shared_task
def tell_of_budgets() -> None:
    """Notices which budgets are used up so far, or will be, and mails it."""
    alerts.notice()
    alerts.mail()


@shared_task
def make_partitions() -> None:
    """Keeps the ledger's partitions ahead of time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_entry_partitions(now(), %s)", [PARTITION_MONTHS_AHEAD])


@shared_task
def roll_up() -> None:
    """Folds the ledger's new lines into the roll-ups."""
    rollups.fold()


@shared_task
def prove(days: int | None = None) -> None:
    """Verifies the books and keeps the result: of so many last days, or of all time."""
    now = timezone.now()
    report = verify(None if days is None else now - timedelta(days=days))
    Proof.objects.create(
        started=report.started,
        since=report.since,
        took_ms=report.took_ms,
        lines=report.lines,
        faults=report.faults,
        departures=report.departures,
        checks=to_builtins(report.checks),
    )
    Proof.purge(now - timedelta(days=PROOF_DAYS_MAX))
    for verdict in report.checks:
        if not verdict.holds:
            first = verdict.findings[0]
            log.error(
                "the books are wrong: %s (%s) has %d faults, the first: %s: %s",
                verdict.name,
                verdict.title,
                verdict.faults,
                first.subject,
                first.problem,
            )
