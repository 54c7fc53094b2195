"""The doors' periodic work; runestone/celery.py says when."""

from celery import shared_task
from django.core.cache import cache

HEARTBEAT_KEY = "runestone:worker-heartbeat"
HEARTBEAT_SECONDS_MAX = 20


@shared_task
def heartbeat() -> None:
    """Shows that beat, the broker and a worker work together."""
    cache.set(HEARTBEAT_KEY, "beating", timeout=HEARTBEAT_SECONDS_MAX)
