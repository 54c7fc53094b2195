"""The doors' periodic work; runestone/celery.py says when."""

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

from api.models import StoredResponse

HEARTBEAT_KEY = "runestone:worker-heartbeat"
HEARTBEAT_SECONDS_MAX = 20
# Deleted at once: short transactions, whatever has piled up.
PURGED_ROWS_MAX = 1_000


@shared_task
def heartbeat() -> None:
    """Shows that beat, the broker and a worker work together."""
    cache.set(HEARTBEAT_KEY, "beating", timeout=HEARTBEAT_SECONDS_MAX)


@shared_task
def purge_responses() -> None:
    """Deletes stored responses that have expired."""
    now = timezone.now()
    while StoredResponse.purge(now, PURGED_ROWS_MAX) == PURGED_ROWS_MAX:
        pass
