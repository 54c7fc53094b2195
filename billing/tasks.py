"""Billing's periodic work; runestone/celery.py says when."""

import logging

from celery import shared_task
from django.db import connection

from billing import alerts, rollups, sweeper

PARTITION_MONTHS_AHEAD = 3

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
