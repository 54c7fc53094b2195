"""The money statements themselves, in a real Postgres. After each test the books must balance."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from billing.instances import LOCK_SPACE
from billing.models import Entry, GatewayInstance, Hold
from runestone.lib.database import conninfo
from tests.billing import ledger
from tests.billing.ledger import Account, line, window_of

LIMIT = 1_000


@pytest.fixture
def cursor(db):
    with connection.cursor() as made:
        yield made
        assert ledger.out_of_balance(made) == []


@pytest.fixture
def instance(cursor):
    return GatewayInstance.objects.create(host="here", pid=1)


@pytest.fixture
def acme(instance):
    return Account("Acme", instance)


@pytest.fixture
def globex(instance):
    return Account("Globex", instance)


@pytest.fixture
def hold(cursor, instance):
    return lambda *attempts: ledger.hold(cursor, instance, *attempts)


@pytest.fixture
def settle(cursor):
    return lambda *lines: ledger.settle(cursor, *lines)


@pytest.fixture
def correct(cursor):
    return lambda *bills, **options: ledger.correct(cursor, *bills, **options)


@pytest.fixture
def sweep(cursor):
    return lambda *arguments, **options: ledger.sweep(cursor, *arguments, **options)


def ids(*attempts):
    return {UUID(attempt["id"]) for attempt in attempts}


# Holding.


def test_it_works(acme, hold, settle):
    budget, attempt = acme.budget(LIMIT), acme.attempt(400)
    assert hold(attempt) == [0]
    assert window_of(budget) == (0, 400)
    assert settle(line(attempt, 150, input_tokens=7)) == [UUID(attempt["id"])]
    assert window_of(budget) == (150, 0)
    entry = Entry.objects.get()
    assert (entry.id, entry.amount_pico, entry.held_pico) == (UUID(attempt["id"]), 150, 400)
    assert (entry.tenant, entry.api_key, entry.input_tokens) == (acme.tenant, acme.api_key, 7)


def test_a_hold_says_whose_it_is(acme, instance, hold):
    window = acme.budget(LIMIT).windows.get()
    attempt = acme.attempt(400)
    hold(attempt)
    held = Hold.objects.get()
    assert (held.id, held.request_id) == (UUID(attempt["id"]), UUID(attempt["request_id"]))
    assert (held.tenant, held.project, held.api_key) == (acme.tenant, acme.project, acme.api_key)
    assert (held.amount_pico, held.estimate_pico) == (400, 200)
    assert (held.windows, held.instance) == ([window.id], instance)
    assert abs((timezone.now() - held.created).total_seconds()) < 60


@pytest.mark.parametrize(("amount", "granted"), [(LIMIT - 1, 1), (LIMIT, 1), (LIMIT + 1, 0)])
@pytest.mark.parametrize("spent", ["nothing", "posted", "pending"])
def test_the_limit_is_exact_to_the_pico(acme, hold, settle, spent, amount, granted):
    budget = acme.budget(LIMIT + (0 if spent == "nothing" else 300))
    if spent != "nothing":
        first = acme.attempt(300)
        assert hold(first) == [0]
        if spent == "posted":
            settle(line(first, 300))
    assert hold(acme.attempt(amount)) == [0 if granted else budget.id]


def test_without_a_budget_all_is_granted(acme, hold, settle):
    attempt = acme.attempt(10**18)
    assert hold(attempt) == [0]
    assert Hold.objects.get().windows == []
    assert settle(line(attempt, 10**18)) == [UUID(attempt["id"])]


def test_an_empty_batch_is_nothing(hold, settle, correct):
    assert hold() == []
    assert settle() == []
    assert correct() == []


def test_near_the_limit_whoever_fits_is_served_in_order_of_arrival(acme, hold):
    budget = acme.budget(LIMIT)
    amounts = [600, 500, 300, 200, 100, 1]
    verdicts = hold(*(acme.attempt(amount) for amount in amounts))
    assert [verdict == 0 for verdict in verdicts] == [True, False, True, False, True, False]
    assert {verdict for verdict in verdicts if verdict} == {budget.id}
    assert window_of(budget) == (0, LIMIT)


def test_a_full_tenant_is_not_in_its_neighbours_way(acme, globex, hold):
    full, roomy = acme.budget(10), globex.budget(LIMIT)
    assert hold(acme.attempt(11), globex.attempt(500), acme.attempt(10)) == [full.id, 0, 0]
    assert window_of(roomy) == (0, 500)


def test_several_budgets_are_all_or_nothing(acme, hold):
    of_tenant = acme.budget(LIMIT)
    of_project = acme.budget(500, project=acme.project)
    of_key = acme.budget(100, api_key=acme.api_key)
    assert hold(acme.attempt(101)) == [of_key.id]
    assert [window_of(each) for each in (of_tenant, of_project, of_key)] == [(0, 0)] * 3
    assert hold(acme.attempt(100)) == [0]
    assert [window_of(each) for each in (of_tenant, of_project, of_key)] == [(0, 100)] * 3


def test_the_first_full_budget_of_several_is_named(acme, hold):
    first, second = acme.budget(10), acme.budget(20)
    assert hold(acme.attempt(30)) == [min(first.id, second.id)]
    assert hold(acme.attempt(15)) == [first.id]


def test_a_soft_budget_never_refuses_but_counts(acme, hold):
    soft = acme.budget(10, hard=False)
    assert hold(acme.attempt(1_000), acme.attempt(2_000)) == [0, 0]
    assert window_of(soft) == (0, 3_000)


def test_budgets_of_others_do_not_count(acme, globex, hold):
    globex.budget(0)
    other_project = acme.tenant.projects.create(slug="other", name="Other")
    acme.budget(0, project=other_project)
    acme.budget(0, api_key=other_key(acme))
    acme.budget(0, active=False)
    assert hold(acme.attempt(5)) == [0]
    assert Hold.objects.get().windows == []


def other_key(account):
    made, _ = type(account.api_key).mint(tenant=account.tenant, name="other")
    return made


def test_a_call_without_a_project_counts_against_no_projects_budget(acme, hold):
    acme.budget(0, project=acme.project)
    assert hold(acme.attempt(5, project_id=None)) == [0]


def test_a_missing_window_is_named_and_nothing_is_held(acme, hold):
    budget = acme.budget(LIMIT, window=False)
    assert hold(acme.attempt(5)) == [-budget.id]
    assert not Hold.objects.exists()
    ledger.open_window(budget)
    assert hold(acme.attempt(5)) == [0]


def test_a_missing_window_holds_up_its_own_budget_only(acme, globex, hold):
    missing, present = acme.budget(LIMIT, window=False), globex.budget(LIMIT)
    assert hold(acme.attempt(5), globex.attempt(5)) == [-missing.id, 0]
    assert window_of(present) == (0, 5)


def test_a_window_that_is_over_does_not_count(acme, hold):
    budget = acme.budget(LIMIT)
    budget.windows.update(starts="2001-01-01T00:00Z", ends="2001-01-02T00:00Z")
    assert hold(acme.attempt(5)) == [-budget.id]


def test_an_unknown_price_is_refused_under_a_hard_budget(acme, hold):
    budget = acme.budget(10**18)
    assert hold(acme.attempt(None), acme.attempt(5)) == [budget.id, 0]


def test_an_unknown_price_passes_a_soft_budget_or_none(acme, globex, hold):
    soft = acme.budget(10, hard=False)
    assert hold(acme.attempt(None), globex.attempt(None)) == [0, 0]
    assert window_of(soft) == (0, 0)


def test_one_attempt_is_held_once(acme, hold):
    acme.budget(LIMIT)
    attempt = acme.attempt(5)
    hold(attempt)
    with pytest.raises(IntegrityError), transaction.atomic():
        hold(attempt)


def test_a_fenced_instance_holds_nothing(acme, instance, hold):
    GatewayInstance.objects.update(fenced=timezone.now())
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        hold(acme.attempt(5))
    assert caught.value.__cause__.sqlstate == "RS001"
    assert not Hold.objects.exists()


def test_an_unknown_instance_holds_nothing(acme, cursor):
    with pytest.raises(DatabaseError, match="fenced"), transaction.atomic():
        ledger.hold(cursor, GatewayInstance(id=0), acme.attempt(5))


# Settling.


def test_settling_twice_finds_nothing(acme, hold, settle):
    budget, attempt = acme.budget(LIMIT), acme.attempt(400)
    hold(attempt)
    settle(line(attempt, 150))
    assert settle(line(attempt, 999)) == []
    assert window_of(budget) == (150, 0)
    assert Entry.objects.get().amount_pico == 150


def test_what_was_never_held_is_not_settled(acme, settle):
    acme.budget(LIMIT)
    assert settle(line(acme.attempt(1), 1)) == []
    assert not Entry.objects.exists()


def test_a_void_charges_nothing(acme, hold, settle):
    budget, attempt = acme.budget(LIMIT), acme.attempt(400)
    hold(attempt)
    settle(line(attempt, 0, kind="void", status=502, error="upstream_refused"))
    assert window_of(budget) == (0, 0)
    entry = Entry.objects.get()
    assert (entry.kind, entry.amount_pico, entry.status) == ("void", 0, 502)


def test_an_unknown_price_is_settled_as_unknown(acme, hold, settle):
    soft, attempt = acme.budget(10, hard=False), acme.attempt(None)
    hold(attempt)
    settle(line(attempt, None, input_tokens=5))
    assert window_of(soft) == (0, 0)
    entry = Entry.objects.get()
    assert (entry.amount_pico, entry.price_state, entry.input_tokens) == (None, "unpriced", 5)


def test_a_charge_may_pass_the_hold_and_the_limit(acme, hold, settle):
    """A provider that bills more than its own bound must be paid, and shows."""
    budget, attempt = acme.budget(LIMIT), acme.attempt(LIMIT)
    hold(attempt)
    settle(line(attempt, LIMIT + 500))
    assert window_of(budget) == (LIMIT + 500, 0)
    assert hold(acme.attempt(1)) == [budget.id]


def test_what_costs_nothing_is_granted_even_by_an_overdrawn_budget(acme, globex, hold, settle):
    budget, attempt = acme.budget(LIMIT), acme.attempt(LIMIT)
    hold(attempt)
    settle(line(attempt, LIMIT + 500))
    assert hold(acme.attempt(0)) == [0]
    # One by one, too: beside somebody who is refused.
    assert hold(acme.attempt(0), acme.attempt(1), globex.attempt(5)) == [0, budget.id, 0]
    assert window_of(budget) == (LIMIT + 500, 0)


def test_a_batch_settles_what_is_there(acme, globex, hold, settle):
    ours, theirs = acme.budget(LIMIT), globex.budget(LIMIT)
    first, second, unknown = acme.attempt(10), globex.attempt(20), acme.attempt(30)
    hold(first, second)
    lines = [line(first, 1), line(unknown, 2), line(second, 3)]
    assert set(settle(*lines)) == ids(first, second)
    assert (window_of(ours), window_of(theirs)) == ((1, 0), (3, 0))


def test_a_line_keeps_the_window_of_its_admission(acme, hold, settle):
    budget, attempt = acme.budget(LIMIT), acme.attempt(10)
    hold(attempt)
    budget.windows.update(starts="2001-01-01T00:00Z", ends="2001-01-02T00:00Z")
    held = Hold.objects.get()
    settle(line(attempt, 10))
    assert window_of(budget) == (10, 0)
    assert Entry.objects.get().created == held.created


def test_a_line_keeps_all_that_it_was_given(acme, hold, settle):
    attempt = acme.attempt(10)
    hold(attempt)
    given = {
        **{name: number for number, name in enumerate(ledger.QUANTITIES, 1)},
        "price_ids": [3, 1, 2],
        "usage_source": "counted",
        "price_state": "estimated",
        "status": 499,
        "error": "client_closed_request",
        "streamed": True,
        "upstream_request_id": "req_é",
        "first_byte_ms": 12,
        "duration_ms": 34,
    }
    settle(line(attempt, 10, **given))
    entry = Entry.objects.get()
    assert {name: getattr(entry, name) for name in given} == given


# Correcting.


@pytest.fixture
def charged(acme, hold, settle):
    """charged(150): a settled attempt, and its budget."""

    def made(amount, **fields):
        budget, attempt = acme.budget(LIMIT, hard=amount is not None), acme.attempt(amount)
        hold(attempt)
        settle(line(attempt, amount, input_tokens=10, output_tokens=5, **fields))
        return budget, attempt

    return made


@pytest.mark.parametrize("amount", [0, 100, 149, 151, 5_000])
def test_a_correction_brings_the_net_to_the_bill_and_does_so_once(charged, correct, amount):
    budget, attempt = charged(150)
    bill = line(attempt, amount, input_tokens=10, output_tokens=7)
    assert correct(bill) == [UUID(attempt["id"])]
    assert correct(bill) == []
    assert window_of(budget) == (amount, 0)
    original, correction = Entry.objects.order_by("posted")
    assert original.amount_pico == 150
    assert (correction.kind, correction.corrects) == ("correction", original.id)
    assert (correction.amount_pico, correction.output_tokens) == (amount - 150, 2)
    assert correction.created == original.created


def test_nothing_is_corrected_that_is_right(charged, correct):
    _, attempt = charged(150)
    assert correct(line(attempt, 150, input_tokens=10, output_tokens=5)) == []
    assert Entry.objects.count() == 1


def test_what_is_not_in_the_ledger_is_not_corrected(acme, correct):
    assert correct(line(acme.attempt(1), 5)) == []


def test_corrections_add_up(charged, correct):
    budget, attempt = charged(150)
    for amount in (100, 300, 0, 20):
        assert correct(line(attempt, amount)) == [UUID(attempt["id"])]
        assert window_of(budget) == (amount, 0)
    assert sum(entry.input_tokens for entry in Entry.objects.all()) == 0


def test_an_unpriced_line_gets_its_price_later(charged, correct):
    soft, attempt = charged(None)
    assert correct(line(attempt, 80, input_tokens=10, output_tokens=5)) == [UUID(attempt["id"])]
    assert window_of(soft) == (80, 0)
    assert correct(line(attempt, 80, input_tokens=10, output_tokens=5)) == []


@pytest.mark.parametrize("amount", [None, 150])
def test_a_bill_whose_price_is_unknown_corrects_the_tokens_alone(charged, correct, amount):
    budget, attempt = charged(amount)
    bill = line(attempt, None, input_tokens=99, output_tokens=5)
    assert correct(bill) == [UUID(attempt["id"])]
    assert correct(bill) == []
    assert window_of(budget) == (amount or 0, 0)


def test_a_late_settle_corrects_uncorrected_orphans_only(
    acme, charged, instance, hold, sweep, correct
):
    _, regular = charged(150)
    orphan = acme.attempt(100)
    hold(orphan)
    GatewayInstance.objects.update(fenced=timezone.now())
    assert sweep() == 1
    late = [line(regular, 1), line(orphan, 70)]
    assert correct(*late, only_orphans=True) == [UUID(orphan["id"])]
    assert correct(line(orphan, 60), only_orphans=True) == []
    assert correct(line(orphan, 60)) == [UUID(orphan["id"])]


# Sweeping.


@pytest.mark.parametrize(("policy", "amount"), [("estimate", 200), ("hold_max", 400), ("zero", 0)])
def test_the_holds_of_the_dead_become_orphans(acme, instance, hold, sweep, policy, amount):
    budget, attempt = acme.budget(LIMIT), acme.attempt(400)
    hold(attempt)
    assert sweep(policy) == 0
    GatewayInstance.objects.update(fenced=timezone.now())
    assert sweep(policy) == 1
    assert sweep(policy) == 0
    assert window_of(budget) == (amount, 0)
    entry = Entry.objects.get()
    assert (entry.kind, entry.price_state) == ("orphan", "estimated")
    assert (entry.error, entry.usage_source) == ("gateway_died", "none")


@pytest.mark.parametrize("policy", ["estimate", "hold_max", "zero"])
def test_an_orphan_of_unknown_price_is_not_free(acme, hold, sweep, policy):
    acme.budget(10, hard=False)
    hold(acme.attempt(None))
    GatewayInstance.objects.update(fenced=timezone.now())
    assert sweep(policy) == 1
    entry = Entry.objects.get()
    assert (entry.amount_pico, entry.price_state) == (None, "unpriced")


def test_the_living_keep_their_holds_until_they_are_too_old(acme, hold, sweep):
    hold(acme.attempt(400))
    assert sweep(age="1 hour") == 0
    assert sweep(age="0 seconds") == 1


def test_a_sweep_takes_so_many_at_most(acme, hold, sweep):
    acme.budget(LIMIT)
    hold(*(acme.attempt(1) for _ in range(5)))
    assert [sweep(age="0 seconds", most=2) for _ in range(4)] == [2, 2, 1, 0]


def test_a_late_settle_after_a_sweep_finds_nothing(acme, hold, settle, sweep):
    budget, attempt = acme.budget(LIMIT), acme.attempt(400)
    hold(attempt)
    sweep(age="0 seconds")
    assert settle(line(attempt, 333)) == []
    assert window_of(budget) == (200, 0)


# Fencing.


def fence(cursor, silence):
    cursor.execute("SELECT billing_fence(%s, %s::interval)", [LOCK_SPACE, silence])
    return cursor.fetchone()[0]


def test_only_the_silent_are_fenced(cursor, instance):
    assert fence(cursor, "15 seconds") == 0
    GatewayInstance.objects.update(heartbeat="2001-01-01T00:00Z")
    alive = GatewayInstance.objects.create(host="here", pid=2)
    assert fence(cursor, "15 seconds") == 1
    assert fence(cursor, "15 seconds") == 0
    instance.refresh_from_db()
    alive.refresh_from_db()
    assert instance.fenced is not None
    assert alive.fenced is None


def test_a_silent_one_whose_session_lives_is_not_fenced(cursor, instance):
    GatewayInstance.objects.update(heartbeat="2001-01-01T00:00Z")
    with psycopg.connect(conninfo(settings.DATABASES["default"]), autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [LOCK_SPACE, instance.id])
        assert fence(cursor, "15 seconds") == 0
    deadline = time.monotonic() + 5
    while fence(cursor, "15 seconds") != 1:
        assert time.monotonic() < deadline


# Many at once, on a database whose rows are committed.


@pytest.fixture
def info(live):
    return conninfo(settings.DATABASES["default"])


@pytest.fixture
def here(live):
    return GatewayInstance.objects.create(host="here", pid=1)


def session(info):
    return psycopg.connect(info, autocommit=True)


def assert_balanced(info):
    with session(info) as other, other.cursor() as cursor:
        assert ledger.out_of_balance(cursor) == []


def wait_until_blocked(info, process):
    blocked = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    deadline = time.monotonic() + 10
    with session(info) as other:
        while other.execute(blocked, [process]).fetchone() != (True,):
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_a_window_opened_while_waiting_is_not_used_unlocked(info, here):
    """Or two batches could each find the same room in it, and both take it."""
    hot, cold = Account("Hot", here), Account("Cold", here)
    hot_window = hot.budget(LIMIT).windows.get()
    budget = cold.budget(100, window=False)
    with (
        session(info) as blocker,
        session(info) as first,
        session(info) as second,
        ThreadPoolExecutor(1) as thread,
    ):
        blocker.execute("BEGIN")
        lock = "SELECT FROM billing_budgetwindow WHERE id = %s FOR UPDATE"
        blocker.execute(lock, [hot_window.id])
        batch = [hot.attempt(1), cold.attempt(100)]
        waiting = thread.submit(ledger.hold, first.cursor(), here, *batch)
        wait_until_blocked(info, first.info.backend_pid)
        ledger.open_window(budget)
        second.execute("BEGIN")
        assert ledger.hold(second.cursor(), here, cold.attempt(100)) == [0]
        blocker.execute("COMMIT")
        time.sleep(0.2)
        second.execute("COMMIT")
        verdicts = waiting.result(10)
    assert verdicts[0] == 0
    assert verdicts[1] in (-budget.id, budget.id)
    assert window_of(budget) == (0, 100)
    assert_balanced(info)


def test_racers_for_the_last_units_never_pass_the_limit(info, here):
    """8 connections, 200 holds each, about a third of which fit."""
    accounts = [Account(name, here) for name in ("Acme", "Globex")]
    budgets = [account.budget(400 * 7 + 3) for account in accounts]
    budgets += [account.budget(300 * 7, api_key=account.api_key) for account in accounts]
    granted, over, stop = [], [], threading.Event()

    def race(seed):
        chance = random.Random(seed)
        with session(info) as line_, line_.cursor() as cursor:
            left = 200
            while left:
                size = min(left, chance.randint(1, 8))
                left -= size
                batch = [chance.choice(accounts).attempt(7) for _ in range(size)]
                verdicts = ledger.hold(cursor, here, *batch)
                won = [each for each, said in zip(batch, verdicts, strict=True) if said == 0]
                granted.extend(won)
                paid = [line(each, chance.randint(0, 7)) for each in won if chance.random() < 0.5]
                chance.shuffle(paid)
                if paid:
                    assert len(ledger.settle(cursor, *paid)) == len(paid)

    def watch():
        mine = [budget.id for budget in budgets]
        with session(info) as other:
            while not stop.is_set():
                over.extend(
                    other.execute(
                        "SELECT * FROM billing_budgetwindow WHERE budget_id = ANY(%s)"
                        " AND posted_pico + pending_pico > limit_pico",
                        [mine],
                    ).fetchall()
                )

    with ThreadPoolExecutor(9) as threads:
        watching = threads.submit(watch)
        racing = [threads.submit(race, seed) for seed in range(8)]
        try:
            for each in racing:
                each.result(60)
        finally:
            stop.set()
        watching.result(10)

    assert over == []
    tenants = [account.tenant for account in accounts]
    held = Hold.objects.filter(tenant__in=tenants)
    settled = Entry.objects.filter(tenant__in=tenants)
    booked = [each.id for each in held] + [each.id for each in settled]
    assert sorted(booked) == sorted(ids(*granted))
    assert 0 < len(granted) < 1_600
    # The racers stopped for want of room, not of will: the tightest budget has none left.
    for budget in budgets[2:]:
        posted, pending = window_of(budget)
        assert budget.limit_pico - 7 < posted + pending <= budget.limit_pico
    assert_balanced(info)

    with session(info) as other, other.cursor() as cursor:
        rest = [line({"id": str(each.id)}, 1) for each in held.all()]
        assert len(ledger.settle(cursor, *rest)) == len(rest)
    assert [window_of(budget)[1] for budget in budgets] == [0] * 4
    assert_balanced(info)


def test_one_attempt_settled_by_all_at_once_is_charged_once(info, here):
    acme = Account("Acme", here)
    budget, attempts = acme.budget(10**6), [acme.attempt(10) for _ in range(40)]
    with session(info) as other, other.cursor() as cursor:
        ledger.hold(cursor, here, *attempts)

    def settle_all(seed):
        shuffled = [line(attempt, 10) for attempt in attempts]
        random.Random(seed).shuffle(shuffled)
        with session(info) as other, other.cursor() as cursor:
            return [found for each in shuffled for found in ledger.settle(cursor, each)]

    with ThreadPoolExecutor(4) as threads:
        settled = [each for found in threads.map(settle_all, range(4)) for each in found]
    assert sorted(settled) == sorted(ids(*attempts))
    assert window_of(budget) == (400, 0)
    assert_balanced(info)


def test_a_sweep_and_a_settle_meet_over_one_hold(info, here):
    acme = Account("Acme", here)
    acme.budget(10**9)
    attempts = [acme.attempt(10) for _ in range(60)]
    with session(info) as other, other.cursor() as cursor:
        ledger.hold(cursor, here, *attempts)

    def settle_each(_):
        with session(info) as other, other.cursor() as cursor:
            return sum(len(ledger.settle(cursor, line(each, 10))) for each in attempts)

    def sweep_all(_):
        with session(info) as other, other.cursor() as cursor:
            return sum(ledger.sweep(cursor, age="0 seconds", most=3) for _ in range(20))

    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(each, None) for each in (settle_each, sweep_all) * 2]
        assert sum(each.result(30) for each in done) >= len(attempts)
    assert Entry.objects.filter(tenant=acme.tenant).count() == len(attempts)
    assert_balanced(info)


def test_corrections_of_one_line_do_not_double(info, here):
    acme = Account("Acme", here)
    budget, attempt = acme.budget(10**6), acme.attempt(10)
    with session(info) as other, other.cursor() as cursor:
        ledger.hold(cursor, here, attempt)
        ledger.settle(cursor, line(attempt, 10))

    def correct(_):
        with session(info) as other, other.cursor() as cursor:
            return ledger.correct(cursor, line(attempt, 90))

    with ThreadPoolExecutor(4) as threads:
        corrected = [each for found in threads.map(correct, range(8)) for each in found]
    assert corrected == [UUID(attempt["id"])]
    assert window_of(budget) == (90, 0)
    assert_balanced(info)
