"""The money statements reach their rows by index, however full the tables are.

No clock is asked, nor any plan parsed: Postgres counts the sequential scans of a transaction.
"""

import pytest
from django.db import connection

from billing.models import GatewayInstance
from tests.billing import ledger
from tests.billing.ledger import Account, line

ROWS = 10_000

SETTINGS = {
    "enable_seqscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "plan_cache_mode=force_generic_plan",
    "jit=off",
}


@pytest.fixture
def cursor(db):
    with connection.cursor() as made:
        yield made


@pytest.fixture
def acme(cursor):
    """Acme among ten thousand budgets, windows, holds and ledger lines of a crowd."""
    crowd = Account("Crowd", GatewayInstance.objects.create(host="here", pid=1))
    acme = Account("Acme", GatewayInstance.objects.create(host="here", pid=2))
    budget = acme.budget(10**9)
    attempt = crowd.attempt(5)
    ledger.hold(cursor, crowd.instance, attempt)
    ledger.settle(cursor, line(attempt, 5))
    ledger.hold(cursor, crowd.instance, crowd.attempt(5))
    crowd.budget(10**9)
    multiply(cursor, "tenants_tenant", crowd.tenant.id, slug="'crowd-' || n")
    tenants = "(SELECT min(id) FROM tenants_tenant WHERE slug = 'crowd-1') + n - 1"
    multiply(cursor, "billing_budget", budget.id + 1, tenant_id=tenants)
    budgets = f"{budget.id + 1} + n"
    multiply(cursor, "billing_budgetwindow", budget.windows.get().id + 1, budget_id=budgets)
    multiply(cursor, "billing_hold", None, id="gen_random_uuid()")
    multiply(cursor, "billing_entry", None, id="gen_random_uuid()", xid="pg_current_xact_id()")
    for table in ("budget", "budgetwindow", "hold", "entry", "gatewayinstance"):
        cursor.execute(f"ANALYZE billing_{table}")
    return acme


def multiply(cursor, table, row, **changed):
    """Ten thousand copies of `row`, or of the table's only one."""
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
    )
    columns = [name for (name,) in cursor.fetchall() if name != "id" or "id" in changed]
    values = ", ".join(str(changed.get(name, name)) for name in columns)
    only = "" if row is None else f"WHERE id = {row}"
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(columns)})"
        f" SELECT {values} FROM {table}, generate_series(1, {ROWS}) n {only}"
    )


@pytest.fixture
def scans(cursor):
    """scans(): the sequential scans of billing's tables in this transaction so far, by table."""

    def counted():
        cursor.execute(
            "SELECT relname, seq_scan FROM pg_stat_xact_user_tables"
            " WHERE relname LIKE 'billing_%' AND seq_scan > 0"
        )
        return dict(cursor.fetchall())

    return counted


def test_it_works(acme, cursor, scans):
    """The guard itself: a sequential scan is noticed."""
    before = scans()
    cursor.execute("SELECT count(*) FROM billing_hold WHERE upstream = 'x'")
    cursor.execute("SELECT count(*) FROM billing_budget WHERE limit_pico = 1")
    after = scans()
    assert after["billing_hold"] == before.get("billing_hold", 0) + 1
    assert after["billing_budget"] == before.get("billing_budget", 0) + 1


@pytest.mark.parametrize("size", [1, 50])
def test_no_money_statement_scans_a_table(acme, cursor, scans, size):
    before = scans()
    attempts = [acme.attempt(5) for _ in range(size)]
    assert ledger.hold(cursor, acme.instance, *attempts) == [0] * size
    assert scans() == before, "billing_hold"
    assert len(ledger.settle(cursor, *(line(each, 5) for each in attempts))) == size
    assert scans() == before, "billing_settle"
    assert len(ledger.correct(cursor, *(line(each, 7) for each in attempts))) == size
    assert scans() == before, "billing_correct"


def test_holding_near_a_limit_scans_no_table(acme, cursor, scans):
    budget = acme.budget(20, api_key=acme.api_key)
    before = scans()
    attempts = [acme.attempt(9) for _ in range(10)]
    verdicts = ledger.hold(cursor, acme.instance, *attempts)
    assert verdicts == [0, 0] + [budget.id] * 8
    assert scans() == before


@pytest.mark.parametrize(
    "function",
    ["billing_hold", "billing_book_holds", "billing_settle", "billing_correct", "billing_sweep"],
)
def test_the_planners_settings_stand_on_the_function(cursor, function):
    cursor.execute("SELECT proconfig FROM pg_proc WHERE proname = %s", [function])
    [(settings,)] = cursor.fetchall()
    assert set(settings) >= SETTINGS


def test_windows_are_updated_in_place(cursor):
    """A window is updated by every call: HOT updates need room on its page, and no index on it."""
    cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'billing_budgetwindow'")
    assert cursor.fetchone() == (["fillfactor=40"],)
    cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'billing_budgetwindow'")
    definitions = " ".join(definition for (definition,) in cursor.fetchall())
    assert "pending_pico" not in definitions
    assert "posted_pico" not in definitions
