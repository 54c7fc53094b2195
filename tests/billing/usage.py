"""Ledger lines admitted whenever a test wants, and what roll-ups must make of them, in Python."""

from bisect import bisect_right
from collections import defaultdict

from django.db import connection

from billing.latency import BOUNDS_MS, CELLS
from billing.models import Entry, GatewayInstance
from tests.billing import ledger
from tests.billing.ledger import QUANTITIES, Account, line

MEASURED = {"charge", "void", "cached"}


class Scribe:
    """An account and the lines that it has written, on a connection of one's choice."""

    def __init__(self, name="Acme"):
        self.account = Account(name, GatewayInstance.objects.create(host="here", pid=1))
        self.id = self.account.tenant.id

    def write(self, amount=150, *, created=None, cursor=None, attempt=None, **fields):
        """One line; `created` is its admission, `attempt` what its hold says. Returns its id."""
        if cursor is None:
            with connection.cursor() as own:
                return self.write(amount, created=created, cursor=own, attempt=attempt, **fields)
        held = self.account.attempt(amount, **(attempt or {}))
        assert ledger.hold(cursor, self.account.instance, held) == [0]
        if created is not None:
            cursor.execute("SELECT billing_entry_partitions(%s, 0)", [created])
            cursor.execute(
                "UPDATE billing_hold SET created = %s WHERE id = %s", [created, held["id"]]
            )
        ledger.settle(cursor, line(held, amount, **fields))
        return held["id"]

    def correct(self, entry_id, amount, **fields):
        with connection.cursor() as cursor:
            return ledger.correct(cursor, line({"id": entry_id}, amount, **fields))


def expected(tenant_id, key):
    """{key of an entry: sums} of a tenant's ledger, line by line."""
    groups = defaultdict(
        lambda: {
            "lines": 0,
            "amount_pico": 0,
            "saved_pico": 0,
            **dict.fromkeys(QUANTITIES, 0),
            "durations": [0] * CELLS,
            "first_bytes": [0] * CELLS,
        }
    )
    for entry in Entry.objects.filter(tenant_id=tenant_id):
        sums = groups[key(entry)]
        sums["lines"] += 1
        for name in ("amount_pico", "saved_pico", *QUANTITIES):
            sums[name] += getattr(entry, name) or 0
        if entry.kind in MEASURED:
            count(sums["durations"], entry.duration_ms)
            count(sums["first_bytes"], entry.first_byte_ms)
    return dict(groups)


def count(cells, ms):
    if ms is not None:
        cells[bisect_right(BOUNDS_MS, ms)] += 1


def told(rows, names=None):
    """What `usage` gave, in the same form: {(time, *group): sums}."""
    names = names or ("lines", "amount_pico", "saved_pico", *QUANTITIES, "durations", "first_bytes")
    return {
        (row.time, *row.group.values()): {name: getattr(row, name) for name in names}
        for row in rows
    }
