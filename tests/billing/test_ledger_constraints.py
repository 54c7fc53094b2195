"""What the database refuses to do with the ledger, whoever asks."""

from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from billing.models import Entry, GatewayInstance
from billing.tasks import make_partitions
from tests.billing import ledger
from tests.billing.ledger import Account, line

APPEND_ONLY = "the ledger is append-only"


@pytest.fixture
def cursor(db):
    with connection.cursor() as made:
        yield made


@pytest.fixture
def acme(cursor):
    return Account("Acme", GatewayInstance.objects.create(host="here", pid=1))


@pytest.fixture
def write(cursor, acme):
    """write(150, error="x"): a ledger line, as settling writes it."""

    def written(amount=150, **fields):
        attempt = acme.attempt(amount)
        ledger.hold(cursor, acme.instance, attempt)
        ledger.settle(cursor, line(attempt, amount, **fields))
        return Entry.objects.get(id=attempt["id"])

    return written


def test_it_works(write):
    entry = write(150)
    assert (entry.kind, entry.amount_pico, entry.price_state) == ("charge", 150, "priced")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_entry SET amount_pico = 0",
        "UPDATE billing_entry SET error = error",
        "DELETE FROM billing_entry",
        "TRUNCATE billing_entry",
        "TRUNCATE billing_entry CASCADE",
        "UPDATE {partition} SET amount_pico = 0",
        "DELETE FROM {partition}",
        "TRUNCATE {partition}",
        "INSERT INTO billing_entry SELECT * FROM billing_entry"
        " ON CONFLICT (id, created) DO UPDATE SET amount_pico = 0",
        "MERGE INTO billing_entry e USING (SELECT 1) one ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_a_line_is_never_changed_or_deleted(write, cursor, statement):
    entry = write(150)
    statement = statement.format(partition=f"billing_entry_{entry.created:%Y_%m}")
    with pytest.raises(DatabaseError, match=APPEND_ONLY) as caught, transaction.atomic():
        cursor.execute(statement)
    assert caught.value.__cause__.sqlstate == "RS002"
    assert Entry.objects.get().amount_pico == 150


def test_a_queryset_refuses_before_the_database_does(write):
    entry = write(150)
    for attempted in (
        lambda: Entry.objects.update(amount_pico=0),
        lambda: Entry.objects.filter(id=entry.id).update(amount_pico=0),
        lambda: Entry.objects.all().delete(),
        lambda: Entry.objects.bulk_update([entry], ["amount_pico"]),
        lambda: Entry.objects.create(id=entry.id),
        entry.save,
        entry.delete,
    ):
        with pytest.raises(TypeError, match="Ledger entries are"), transaction.atomic():
            attempted()
    assert Entry.objects.get().amount_pico == 150


def test_a_way_around_the_queryset_ends_at_the_database(write):
    write(150)
    with pytest.raises(DatabaseError, match=APPEND_ONLY), transaction.atomic():
        Entry.objects.all()._raw_delete("default")


@pytest.mark.parametrize(
    ("amount", "fields", "constraint"),
    [
        (None, {"price_state": "priced"}, "entry_never_free_by_ignorance"),
        (None, {"price_state": "estimated"}, "entry_never_free_by_ignorance"),
        (0, {"price_state": "unpriced"}, "entry_never_free_by_ignorance"),
        (5, {"price_state": "unpriced"}, "entry_never_free_by_ignorance"),
        (-1, {}, "entry_only_corrections_are_negative"),
        (-1, {"kind": "orphan"}, "entry_only_corrections_are_negative"),
        (5, {"kind": "correction"}, "entry_correction_names_its_original"),
        (5, {"kind": "gift"}, "entry_kind"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(acme, cursor, amount, fields, constraint):
    attempt = acme.attempt(10)
    ledger.hold(cursor, acme.instance, attempt)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        ledger.settle(cursor, line(attempt, amount, **fields))
    assert not Entry.objects.exists()


def test_only_a_correction_names_an_original(write, cursor):
    entry = write(150)
    columns = [field.column for field in Entry._meta.fields]
    copied = ", ".join(
        {"id": "gen_random_uuid()", "corrects": "id"}.get(column, column) for column in columns
    )
    with (
        pytest.raises(IntegrityError, match="entry_correction_names_its_original"),
        transaction.atomic(),
    ):
        cursor.execute(
            f"INSERT INTO billing_entry ({', '.join(columns)}) SELECT {copied} FROM billing_entry"
        )
    assert list(Entry.objects.all()) == [entry]


def test_an_unknown_price_has_no_amount(write):
    entry = write(None)
    assert (entry.amount_pico, entry.price_state) == (None, "unpriced")


def test_a_failed_batch_leaves_every_hold_where_it_was(acme, cursor):
    good, bad = acme.attempt(10), acme.attempt(10)
    budget = acme.budget(1_000)
    ledger.hold(cursor, acme.instance, good, bad)
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.settle(cursor, line(good, 5), line(bad, -5))
    assert ledger.window_of(budget) == (0, 20)
    assert ledger.out_of_balance(cursor) == []


# Partitions.


def partitions(cursor):
    cursor.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'billing_entry'::regclass ORDER BY 1"
    )
    return [name for (name,) in cursor.fetchall()]


def months_from(moment, count):
    numbers = [moment.year * 12 + moment.month - 1 + ahead for ahead in range(count)]
    return [f"billing_entry_{number // 12:04d}_{number % 12 + 1:02d}" for number in numbers]


def test_this_month_and_the_next_three_have_a_partition(cursor):
    assert set(months_from(timezone.now(), 4)) <= set(partitions(cursor))


def test_making_partitions_again_changes_nothing(cursor, write):
    write(150)
    before = partitions(cursor)
    make_partitions()
    make_partitions()
    assert partitions(cursor) == before
    assert Entry.objects.count() == 1


def test_partitions_reach_over_the_end_of_a_year(cursor):
    december = datetime(2031, 12, 31, 23, 59, tzinfo=UTC)
    cursor.execute("SELECT billing_entry_partitions(%s, 2)", [december])
    made = ["billing_entry_2031_12", "billing_entry_2032_01", "billing_entry_2032_02"]
    assert [name for name in partitions(cursor) if name > "billing_entry_2031"] == made


def test_partitions_begin_at_midnight_utc_in_any_session(cursor):
    cursor.execute("SET LOCAL timezone = 'Asia/Kathmandu'")
    cursor.execute("SELECT billing_entry_partitions('2031-05-31T20:00Z', 0)")
    cursor.execute("SET LOCAL timezone = 'UTC'")
    cursor.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = %s",
        ["billing_entry_2031_05"],
    )
    assert cursor.fetchall() == [
        ("FOR VALUES FROM ('2031-05-01 00:00:00+00') TO ('2031-06-01 00:00:00+00')",)
    ]


def test_a_new_partition_is_append_only_too(cursor):
    cursor.execute("SELECT billing_entry_partitions('2031-05-01T00:00Z', 0)")
    with pytest.raises(DatabaseError, match=APPEND_ONLY), transaction.atomic():
        cursor.execute("TRUNCATE billing_entry_2031_05")
