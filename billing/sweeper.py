"""What dead gateways left behind becomes ledger lines, within seconds and exactly once."""

from django.conf import settings
from django.db import connection

from billing.instances import LOCK_SPACE

HOLDS_PER_STATEMENT_MAX = 1_000
# Beyond the longest a call may take, a hold is nobody's, even if its gateway lives.
HOLD_AGE_SLACK_SECONDS = 300


def sweep() -> int:
    """Fences dead gateways and resolves the holds they left; returns how many holds.

    Any number of sweepers may run at once: a hold is resolved by whoever deletes it.
    """
    silence = settings.RUNESTONE_INSTANCE_SILENCE_SECONDS_MAX
    age_max = settings.RUNESTONE_TOTAL_SECONDS_MAX + HOLD_AGE_SLACK_SECONDS
    policy = settings.RUNESTONE_ORPHAN_POLICY
    resolved = 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_fence(%s, make_interval(secs => %s))", [LOCK_SPACE, silence])
        while True:
            cursor.execute(
                "SELECT billing_sweep(%s, make_interval(secs => %s), %s)",
                [policy, age_max, HOLDS_PER_STATEMENT_MAX],
            )
            count: int = cursor.fetchone()[0]
            resolved += count
            if count < HOLDS_PER_STATEMENT_MAX:
                return resolved
