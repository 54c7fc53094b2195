"""The Celery application, and when its periodic work is done."""

import os
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runestone.settings")

# Reports add what is newer from the ledger itself; the longer this is, the more they add.
ROLL_UP_SECONDS = 10.0
# How far back the hourly proof looks; the daily one looks at everything.
PROOF_DAYS = 2

app = Celery("runestone")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def report_at_once(**_: Any) -> None:
    """A worker that just came up need not wait for beat to be counted, nor to look around."""
    app.send_task("api.tasks.heartbeat")
    app.send_task("providers.tasks.probe")


app.conf.beat_schedule = {
    # Holds of gateways that died become ledger lines within seconds.
    "sweep": {"task": "billing.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "roll_up": {
        "task": "billing.tasks.roll_up",
        "schedule": ROLL_UP_SECONDS,
        "options": {"expires": ROLL_UP_SECONDS},
    },
    "budgets": {
        "task": "billing.tasks.tell_of_budgets",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "partitions": {"task": "billing.tasks.make_partitions", "schedule": 24 * 60 * 60.0},
    # The books: what is recent every hour, and everything in the small hours.
    "proof": {
        "task": "billing.tasks.prove",
        "schedule": 60 * 60.0,
        "kwargs": {"days": PROOF_DAYS},
        "options": {"expires": 60 * 60},
    },
    "proof of everything": {
        "task": "billing.tasks.prove",
        "schedule": crontab(hour="3", minute="30"),
        "options": {"expires": 60 * 60},
    },
    # They are out of reach as soon as they expire; this is for the disk's sake.
    "responses": {"task": "api.tasks.purge_responses", "schedule": 10 * 60.0},
    # So an upstream that is back is called again, and one that is gone is known before a call.
    "probes": {"task": "providers.tasks.probe", "schedule": 15.0, "options": {"expires": 15}},
    # Proof that beat, broker and a worker work together; /health/ready reads it.
    "heartbeat": {"task": "api.tasks.heartbeat", "schedule": 5.0, "options": {"expires": 5}},
}
