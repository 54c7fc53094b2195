"""Budgets of a model and of each end user, and raises, in a real Postgres."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing.end_users import END_USER_CHARACTERS_MAX, bounded
from billing.models import BudgetRaise, Entry, GatewayInstance, Hold
from runestone.lib.database import conninfo
from tests.billing import ledger
from tests.billing.ledger import Account, line, open_window, window_of

LIMIT = 1_000
HOUR = timedelta(hours=1)


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


# Of a model.


def test_it_works(acme, hold):
    budget = acme.budget(LIMIT, model="m")
    assert hold(acme.attempt(LIMIT, model="other"), acme.attempt(LIMIT)) == [0, 0]
    assert window_of(budget) == (0, LIMIT)
    assert hold(acme.attempt(1), acme.attempt(1, model="other")) == [budget.id, 0]


def test_a_model_within_a_project_or_a_key(acme, hold):
    of_project = acme.budget(100, model="m", project=acme.project)
    of_key = acme.budget(200, model="m", api_key=acme.api_key)
    assert hold(acme.attempt(200, project_id=None)) == [0]
    assert hold(acme.attempt(1, project_id=None)) == [of_key.id]
    assert hold(acme.attempt(101)) == [min(of_project.id, of_key.id)]
    assert window_of(of_project) == (0, 0)


def test_all_budgets_of_a_call_are_granted_or_none(acme, hold):
    budgets = [
        acme.budget(LIMIT),
        acme.budget(LIMIT, project=acme.project),
        acme.budget(LIMIT, api_key=acme.api_key),
        acme.budget(LIMIT, model="m"),
        acme.budget(100, model="m", per_end_user=True),
    ]
    open_window(budgets[-1], "ann")
    assert hold(acme.attempt(101, end_user="ann")) == [budgets[-1].id]
    windows = [window_of(each, "ann" if each.per_end_user else "") for each in budgets]
    assert windows == [(0, 0)] * 5
    assert hold(acme.attempt(100, end_user="ann")) == [0]
    windows = [window_of(each, "ann" if each.per_end_user else "") for each in budgets]
    assert windows == [(0, 100)] * 5


# Of each end user.


def test_each_end_user_has_the_limit_for_himself(acme, hold):
    budget = acme.budget(100, per_end_user=True)
    for name in ("ann", "bob"):
        assert hold(acme.attempt(60, end_user=name)) == [-budget.id]
        open_window(budget, name)
        assert hold(acme.attempt(60, end_user=name)) == [0]
    batch = [acme.attempt(amount, end_user=name) for name in ("ann", "bob") for amount in (30, 11)]
    assert hold(*batch) == [0, budget.id, 0, budget.id]
    assert [window_of(budget, name) for name in ("ann", "bob", "")] == [(0, 90), (0, 90), (0, 0)]


def test_leaving_the_end_user_out_is_no_way_around(acme, hold):
    budget = acme.budget(100, per_end_user=True)
    assert hold(acme.attempt(100)) == [0]
    assert hold(acme.attempt(1), acme.attempt(1, end_user="")) == [budget.id, budget.id]


def test_an_end_user_of_the_same_name_elsewhere_is_another(acme, globex, hold):
    ours, theirs = acme.budget(100, per_end_user=True), globex.budget(100, per_end_user=True)
    for budget in (ours, theirs):
        open_window(budget, "ann")
    assert hold(acme.attempt(100, end_user="ann"), globex.attempt(70, end_user="ann")) == [0, 0]
    assert hold(acme.attempt(1, end_user="ann"), globex.attempt(1, end_user="ann")) == [ours.id, 0]
    assert (window_of(ours, "ann"), window_of(theirs, "ann")) == ((0, 100), (0, 71))


def test_the_ledger_says_whom_a_call_was_for(acme, hold, settle, cursor):
    named, nameless = acme.attempt(10, end_user="ann"), acme.attempt(10)
    hold(named, nameless)
    assert Hold.objects.get(id=named["id"]).end_user == "ann"
    settle(line(named, 5), line(nameless, 5))
    ledger.correct(cursor, line(named, 7))
    assert [entry.end_user for entry in Entry.objects.filter(end_user="ann")] == ["ann"] * 2
    assert Entry.objects.get(end_user=None).id.hex == nameless["id"].replace("-", "")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (None, None),
        ("", None),
        ("ann", "ann"),
        ("a" * END_USER_CHARACTERS_MAX, "a" * END_USER_CHARACTERS_MAX),
        ("Ann Ørsted", "Ann Ørsted"),
    ],
    ids=["none", "empty", "short", "longest", "letters"],
)
def test_a_name_is_kept_as_it_is(name, kept):
    assert bounded(name) == kept


@pytest.mark.parametrize("name", ["a" * 129, "a\0b", "\ud800", "a\nb"], ids=ascii)
def test_a_name_that_cannot_be_kept_goes_by_its_digest(acme, hold, name):
    kept = bounded(name)
    assert kept.startswith("sha256:")
    assert len(kept) <= END_USER_CHARACTERS_MAX
    assert bounded(name + "x") != kept
    assert hold(acme.attempt(1, end_user=kept)) == [0]


# Raises.


@pytest.fixture
def lift(db):
    """lift(budget, 500, starts=…, ends=…): a raise, in force from an hour ago for two hours."""
    ada = User.objects.create(username="ada")

    def made(budget, extra, starts=-HOUR, ends=HOUR):
        now = timezone.now()
        return BudgetRaise.objects.create(
            budget=budget,
            extra_pico=extra,
            starts=now + starts,
            ends=now + ends,
            reason="The launch.",
            by=ada,
        )

    return made


def test_a_raise_is_exact_to_the_pico(acme, hold, lift):
    budget = acme.budget(LIMIT)
    lift(budget, 500)
    assert hold(acme.attempt(LIMIT + 501)) == [budget.id]
    assert hold(acme.attempt(LIMIT + 500)) == [0]
    assert hold(acme.attempt(1)) == [budget.id]


def test_raises_add_up_and_only_what_is_in_force_counts(acme, globex, hold, lift):
    budget = acme.budget(LIMIT)
    lift(budget, 30)
    lift(budget, 40)
    lift(budget, 10_000, starts=-2 * HOUR, ends=-HOUR)
    lift(budget, 10_000, starts=HOUR, ends=2 * HOUR)
    lift(globex.budget(LIMIT), 10_000)
    assert hold(acme.attempt(LIMIT + 71)) == [budget.id]
    assert hold(acme.attempt(LIMIT + 70)) == [0]


def test_at_its_end_nothing_more_is_granted_and_what_was_stays(acme, hold, settle, lift):
    budget, attempt = acme.budget(LIMIT), acme.attempt(LIMIT + 200)
    raised = lift(budget, 500)
    assert hold(attempt) == [0]
    raised.ends = timezone.now()
    raised.save()
    assert hold(acme.attempt(1)) == [budget.id]
    settle(line(attempt, LIMIT - 10))
    assert window_of(budget) == (LIMIT - 10, 0)
    assert hold(acme.attempt(11), acme.attempt(10)) == [budget.id, 0]


def test_a_raise_lifts_every_end_users_limit(acme, hold, lift):
    budget = acme.budget(100, per_end_user=True)
    lift(budget, 50)
    for name in ("ann", "bob"):
        open_window(budget, name)
        assert hold(acme.attempt(151, end_user=name), acme.attempt(150, end_user=name)) == [
            budget.id,
            0,
        ]


@pytest.mark.parametrize(
    ("wrong", "constraint"),
    [
        ({"extra_pico": 0}, "raise_raises"),
        ({"reason": ""}, "raise_has_a_reason"),
        ({"ends": "2001-01-01T00:00Z"}, "raise_has_length"),
    ],
    ids=["nothing", "no-reason", "no-length"],
)
def test_a_raise_that_makes_no_sense_is_refused(acme, lift, wrong, constraint):
    raised = lift(acme.budget(LIMIT), 5)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        BudgetRaise.objects.filter(pk=raised.pk).update(**wrong)


def test_a_new_limit_reaches_the_window_of_every_end_user(acme, hold):
    budget = acme.budget(100, per_end_user=True)
    for name in ("ann", "bob"):
        open_window(budget, name)
    budget.limit_pico = 7
    budget.save()
    assert [each.limit_pico for each in budget.windows.all()] == [7, 7, 7]
    assert hold(acme.attempt(8, end_user="ann")) == [budget.id]


# Many at once, on a database whose rows are committed.


@pytest.mark.parametrize("seconds", [0.3, 3600], ids=["ends-in-the-middle", "in-force"])
@pytest.mark.parametrize("end_users", [[None], ["ann", "bob"]], ids=["anonymous", "named"])
def test_a_rush_takes_no_more_than_the_limit_and_what_raises_it(live, end_users, seconds):
    acme = Account("Acme", GatewayInstance.objects.create(host="here", pid=1))
    budgets = [acme.budget(500, per_end_user=True), acme.budget(900, model="m")]
    for name in filter(None, end_users):
        open_window(budgets[0], name)
    by = User.objects.create(username=acme.tenant.slug)
    ends = timezone.now() + timedelta(seconds=seconds)
    BudgetRaise.objects.create(budget=budgets[0], extra_pico=70, ends=ends, reason="x", by=by)
    info = conninfo(settings.DATABASES["default"])

    def rush(_):
        with psycopg.connect(info, autocommit=True) as session, session.cursor() as cursor:
            for _ in range(15):
                batch = [acme.attempt(7, end_user=name) for name in end_users * 3]
                ledger.hold(cursor, acme.instance, *batch)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(rush, range(6)))
    taken = [window_of(budgets[0], name or "")[1] for name in end_users]
    assert max(taken) <= 570
    assert sum(taken) == window_of(budgets[1])[1] <= 900
    # Nor less: of what is left nobody could have had another.
    with psycopg.connect(info, autocommit=True) as session, session.cursor() as cursor:
        for name in end_users:
            assert ledger.hold(cursor, acme.instance, acme.attempt(7, end_user=name)) != [0]
    with psycopg.connect(info) as session, session.cursor() as cursor:
        assert ledger.out_of_balance(cursor) == []
