"""Roll-ups are the ledger, whenever they are folded, by however many, and whatever is killed."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from billing import rollups
from billing.models import Entry
from billing.periods import Bounds
from billing.reports import Dimension, Step, usage
from billing.tasks import roll_up
from tests.billing.usage import Scribe, expected, told

UTC_ZONE = ZoneInfo("UTC")
EVER = Bounds(datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))
COLUMNS = tuple(Dimension)


@pytest.fixture
def acme(live):
    return Scribe("Acme")


# Longer than any other test keeps a transaction open.
FOLD_SECONDS_MAX = 20.0


@pytest.fixture
def other(live):
    """A second session with the same database, in a transaction of its own."""
    with psycopg.connect(live) as made:
        yield made


def fetch(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def fold_all(lines=None):
    """Folds what is committed, `lines` of them if that is known; gives how many they were.

    Transactions of other tests hold folding back for a while: Postgres numbers them by cluster.
    """
    deadline = time.monotonic() + FOLD_SECONDS_MAX
    folded = rollups.fold()
    while folded < lines if lines is not None else unfolded():
        assert time.monotonic() < deadline, f"{folded} lines folded, others still wait"
        time.sleep(0.02)
        folded += rollups.fold()
    return folded


def unfolded():
    [(some,)] = fetch(
        "SELECT EXISTS (SELECT FROM billing_entry WHERE xid > (SELECT folded_to FROM"
        " billing_rollupmark))"
    )
    return some


def buckets(scribe):
    """The tenant's buckets as they are stored."""
    return fetch("SELECT * FROM billing_usagebucket b WHERE tenant_id = %s ORDER BY b", scribe.id)


def folded_lines(scribe):
    [(lines,)] = fetch(
        "SELECT coalesce(sum(lines), 0) FROM billing_usagebucket WHERE tenant_id = %s", scribe.id
    )
    return lines


def total(scribe):
    [row] = usage(EVER, UTC_ZONE, only={Dimension.TENANT: [scribe.id]})
    return row


def assert_equal_to_ledger(scribe):
    """To the pico and the token, in every column, by the quarter hour."""
    rows = usage(
        EVER, UTC_ZONE, by=COLUMNS, step=Step.QUARTER, only={Dimension.TENANT: [scribe.id]}
    )
    assert told(rows) == expected(scribe.id, whole_key)


def whole_key(entry):
    minutes = timedelta(
        minutes=entry.created.minute % 15,
        seconds=entry.created.second,
        microseconds=entry.created.microsecond,
    )
    return (entry.created - minutes, *(getattr(entry, column.value) for column in COLUMNS))


def test_it_works(acme):
    acme.write(150, input_tokens=7, duration_ms=40)
    acme.write(50, input_tokens=3, duration_ms=400)
    before = total(acme)
    assert (before.charges, before.amount_pico, before.input_tokens) == (2, 200, 10)
    assert folded_lines(acme) == 0
    assert fold_all() >= 2
    assert folded_lines(acme) == 2
    assert total(acme) == before
    assert_equal_to_ledger(acme)
    assert rollups.fold() == 0


def test_beats_task_folds(acme):
    acme.write()
    roll_up()
    assert folded_lines(acme) == 1


class Life:
    """A tenant's lines at random, as calls make them."""

    def __init__(self, chance):
        self.chance = chance
        self.scribe = Scribe("Life")
        self.written = []

    def tokens(self):
        names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
        return {name: self.chance.randint(0, 10**6) for name in names}

    def amount(self):
        return self.chance.choice([None, 0, 1, self.chance.randint(0, 10**15)])

    def write(self):
        chance = self.chance
        kind = chance.choice(["charge", "charge", "charge", "void", "orphan", "cached"])
        fields = {"saved_pico": chance.choice([None, 10**9])} if kind == "cached" else {}
        self.written.append(
            self.scribe.write(
                0 if kind in ("void", "cached") else self.amount(),
                created=timezone.now() - timedelta(minutes=chance.randint(0, 3_000)),
                attempt={
                    "model": chance.choice(["m", "n"]),
                    "project_id": chance.choice([None, self.scribe.account.project.id]),
                    "byok": chance.random() < 0.2,
                },
                kind=kind,
                status=chance.choice([0, 200, 200, 429, 499, 502]),
                service_tier=chance.choice(["", "", "flex"]),
                duration_ms=int(10 ** chance.uniform(0, 6)),
                first_byte_ms=chance.choice([None, int(10 ** chance.uniform(0, 5))]),
                **self.tokens(),
                **fields,
            )
        )

    def correct(self):
        if self.written:
            original = self.chance.choice(self.written)
            self.scribe.correct(original, self.amount(), **self.tokens())

    def fold(self):
        rollups.fold()

    def rebuild(self):
        rollups.rebuild()


@pytest.mark.parametrize("seed", range(6))
def test_a_life_folded_at_random_moments_is_one_rebuild(live, monkeypatch, seed):
    chance = random.Random(seed)
    monkeypatch.setattr(rollups, "LINES_PER_FOLD_MAX", chance.choice([1, 3, 10_000]))
    life = Life(chance)
    steps = [life.write, life.correct, life.fold, life.rebuild]
    for _ in range(60):
        chance.choices(steps, weights=[6, 2, 2, 0.2])[0]()
        if chance.random() < 0.1:
            assert_equal_to_ledger(life.scribe)
    fold_all()
    assert_equal_to_ledger(life.scribe)
    assert rollups.differences() == []
    folded = buckets(life.scribe)
    assert sum(row[11] for row in folded) == Entry.objects.filter(tenant=life.scribe.id).count()
    rollups.rebuild()
    assert buckets(life.scribe) == folded


def test_a_line_that_is_committed_late_is_not_lost(acme, other):
    """A watermark by sequence, or by time, passes over it: the same moments show that, too."""
    late = acme.write(1, cursor=other.cursor())
    acme.write(20)
    rollups.fold()
    assert total(acme).amount_pico == 20
    [(seen_until,)] = fetch("SELECT max(posted) FROM billing_entry WHERE tenant_id = %s", acme.id)

    other.commit()
    by_time = Entry.objects.filter(tenant=acme.id, posted__gt=seen_until)
    assert not by_time.exists(), "the late line must be one that a watermark of `posted` loses"
    assert total(acme).amount_pico == 21
    fold_all()
    assert folded_lines(acme) == 2
    assert total(acme).amount_pico == 21
    assert Entry.objects.filter(id=late).exists()
    assert rollups.differences() == []


def test_nothing_of_a_transaction_that_fails_is_counted(acme, other):
    acme.write(1, cursor=other.cursor())
    acme.write(20)
    rollups.fold()
    other.rollback()
    fold_all()
    assert (folded_lines(acme), total(acme).amount_pico) == (1, 20)


def test_a_transaction_larger_than_a_batch_is_folded_whole(acme, monkeypatch):
    monkeypatch.setattr(rollups, "LINES_PER_FOLD_MAX", 2)
    with transaction.atomic():
        for _ in range(5):
            acme.write(1)
    acme.write(1)
    fold_all()
    assert folded_lines(acme) == 6
    assert rollups.differences() == []


def test_a_fold_that_is_killed_has_done_nothing(acme, other):
    acme.write()
    other.execute("SELECT billing_rollup_fold(10000)")
    assert other.execute(
        "SELECT sum(lines) FROM billing_usagebucket WHERE tenant_id = %s", [acme.id]
    ).fetchone() == (1,)
    fetch("SELECT pg_terminate_backend(%s)", other.info.backend_pid)
    with pytest.raises(psycopg.OperationalError):
        other.execute("SELECT 1")
    while rollups.fold() == 0:  # until the dead one's lock is gone
        pass
    assert folded_lines(acme) == 1
    assert rollups.differences() == []


def test_while_one_folds_another_does_nothing(acme, other):
    acme.write()
    other.execute("SELECT billing_rollup_fold(10000)")
    assert rollups.fold() == 0
    assert total(acme).lines == 1
    other.commit()
    assert rollups.fold() == 0
    assert (folded_lines(acme), total(acme).lines) == (1, 1)


def test_writers_and_folders_at_once(live, monkeypatch):
    """Four that write, hold transactions open and roll back; two that fold; one that reports."""
    monkeypatch.setattr(rollups, "LINES_PER_FOLD_MAX", 7)
    acme = Scribe("Busy")
    writing = threading.Event()
    writing.set()

    def write(seed):
        chance = random.Random(seed)
        with psycopg.connect(live) as session:
            for _ in range(25):
                for _ in range(chance.randint(1, 5)):
                    acme.write(chance.randint(0, 9), cursor=session.cursor())
                threading.Event().wait(chance.random() * 0.01)
                (session.rollback if chance.random() < 0.2 else session.commit)()

    def work_on(what):
        def worked():
            try:
                while writing.is_set():
                    what()
            finally:
                connection.close()

        return worked

    def report():
        """Lines are only ever added, so no report may know less than one before."""
        rows = usage(EVER, UTC_ZONE, only={Dimension.TENANT: [acme.id]})
        known.append(sum(row.lines for row in rows))

    known = []
    with ThreadPoolExecutor() as pool:
        others = [pool.submit(work_on(what)) for what in (rollups.fold, rollups.fold, report)]
        for writer in [pool.submit(write, seed) for seed in range(4)]:
            writer.result()
        writing.clear()
        for each in others:
            each.result()
    assert known == sorted(known)
    fold_all()
    assert folded_lines(acme) == Entry.objects.filter(tenant=acme.id).count() > 0
    assert_equal_to_ledger(acme)
    assert rollups.differences() == []


def test_a_correction_falls_into_its_originals_bucket(acme):
    original = acme.write(
        150, created=timezone.now() - timedelta(hours=3), input_tokens=10, duration_ms=40
    )
    fold_all()
    acme.correct(original, 90, input_tokens=4)
    fold_all()
    [quarter] = usage(EVER, UTC_ZONE, step=Step.QUARTER, only={Dimension.TENANT: [acme.id]})
    assert (quarter.charges, quarter.corrections) == (1, 1)
    assert (quarter.amount_pico, quarter.input_tokens) == (90, 4)
    assert sum(quarter.durations) == 1
    assert_equal_to_ledger(acme)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE billing_usagebucket SET amount_pico = amount_pico + 1 WHERE tenant_id = %s",
        "UPDATE billing_usagebucket SET reasoning_tokens = 1 WHERE tenant_id = %s",
        "UPDATE billing_usagebucket SET durations[3] = 9 WHERE tenant_id = %s",
        "UPDATE billing_usagebucket SET model = 'x' WHERE tenant_id = %s",
        "UPDATE billing_usagebucket SET starts = starts - interval '1 day' WHERE tenant_id = %s",
        "DELETE FROM billing_usagebucket WHERE tenant_id = %s",
    ],
)
def test_any_difference_is_found_and_rebuilt(acme, damage):
    acme.write(150, duration_ms=40)
    fold_all()
    right = buckets(acme)
    with connection.cursor() as cursor:
        cursor.execute(damage, [acme.id])
    assert any(f'"tenant_id":{acme.id}' in difference for difference in rollups.differences())
    with pytest.raises(CommandError, match="--rebuild makes the roll-ups equal"):
        call_command("rollups", "--check", stdout=StringIO(), stderr=StringIO())
    said = StringIO()
    call_command("rollups", "--rebuild", "--check", stdout=said)
    assert "equal the ledger" in said.getvalue()
    assert buckets(acme) == right


def test_a_rebuild_of_some_hours_leaves_the_others(acme):
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for hours in (1, 3):
        acme.write(1, created=now - timedelta(hours=hours))
    fold_all()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_usagebucket SET lines = 9 WHERE tenant_id = %s", [acme.id])
    hour = [(now - timedelta(hours=hours)).isoformat() for hours in (1, 0)]
    call_command("rollups", "--rebuild", "--from", hour[0], "--to", hour[1], stdout=StringIO())
    assert folded_lines(acme) == 1 + 9
    rollups.rebuild()
    assert folded_lines(acme) == 2


@pytest.mark.parametrize(
    "options", [["--from", "2026-01-01T00:07Z"], ["--to", "2026-01-01"], ["--to", "then"]]
)
def test_only_whole_quarters_are_rebuilt(options):
    with pytest.raises(CommandError, match="invalid quarter_hour value"):
        call_command("rollups", "--rebuild", *options)


def test_the_database_refuses_a_broken_quarter(live):
    with pytest.raises(DatabaseError, match="whole quarter hours"):
        fetch("SELECT billing_rollup_rebuild('2026-01-01T00:07Z', 'infinity')")


@pytest.mark.parametrize("whose", ["line", "mark"])
def test_a_ledger_of_another_cluster_is_refused(acme, whose):
    """Its transactions were numbered further, and those of this one would be lost below them."""
    acme.write()
    columns = ", ".join(field.column for field in Entry._meta.fields if field.column != "id")
    damage = {
        "line": f"INSERT INTO billing_entry (id, xid, {columns}) SELECT gen_random_uuid(),"
        f" '99999999999', {columns} FROM billing_entry WHERE tenant_id = %s",
        "mark": "UPDATE billing_rollupmark SET folded_to = '99999999999' WHERE %s > 0",
    }
    with pytest.raises(DatabaseError, match="of another cluster") as caught, transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(damage[whose], [acme.id])
        rollups.fold()
    assert caught.value.__cause__.sqlstate == "RS003"


@pytest.mark.parametrize("lines", [0, 3])
def test_a_fold_reaches_its_lines_by_index(acme, lines):
    """However long the ledger is. Postgres counts the sequential scans of a transaction."""
    fold_all()
    for _ in range(lines):
        acme.write()
    with transaction.atomic():
        before = scans()
        assert fold_all(lines) == lines
        assert scans() == before


def scans():
    return fetch(
        "SELECT relname, seq_scan FROM pg_stat_xact_user_tables"
        " WHERE relname LIKE 'billing_entry%%' AND seq_scan > %s ORDER BY 1",
        0,
    )
