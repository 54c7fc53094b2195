"""Budget alerts: once per window, to the right people, in whole pico-dollars."""

import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from billing import alerts
from billing.models import (
    ALERT_PERCENTS_MAX,
    BudgetAlert,
    BudgetRaise,
    BudgetWindow,
    GatewayInstance,
    OutboxEvent,
)
from billing.periods import bounds
from billing.tasks import tell_of_budgets
from tests.billing.ledger import Account

USD = 10**12
LIMIT = 100 * USD
# Ten days of thirty are over.
MOMENT = datetime(2026, 6, 11, tzinfo=UTC)


@pytest.fixture
def acme(db):
    return Account("Acme", GatewayInstance.objects.create(host="here", pid=1))


@pytest.fixture
def globex(acme):
    return Account("Globex", acme.instance)


def spent(budget, posted, *, moment=MOMENT, pending=0, end_user=""):
    """The budget's window at `moment`, so much of it used."""
    starts, ends = bounds(budget.period, budget.tenant.zone, moment)
    window, _ = BudgetWindow.objects.update_or_create(
        budget=budget,
        end_user=end_user,
        starts=starts,
        defaults={
            "ends": ends,
            "limit_pico": budget.limit_pico,
            "posted_pico": posted,
            "pending_pico": pending,
        },
    )
    return window


def monthly(account, **fields):
    return account.budget(
        LIMIT, **{"window": False, "period": "month", "forecast_alert": False, **fields}
    )


def told(budget):
    return sorted(BudgetAlert.objects.filter(window__budget=budget).values_list("kind", "percent"))


def test_it_works(acme):
    budget = monthly(acme)
    spent(budget, LIMIT * 80 // 100)
    assert alerts.notice(MOMENT) == 2
    assert told(budget) == [("threshold", 50), ("threshold", 80)]
    assert alerts.notice(MOMENT) == 0
    spent(budget, LIMIT)
    assert alerts.notice(MOMENT) == 1
    assert OutboxEvent.objects.filter(tenant=acme.tenant).count() == 3


@pytest.mark.parametrize(("missing", "count"), [(0, 1), (1, 0)], ids=["reached", "a-pico-less"])
def test_a_threshold_is_exact_to_the_pico(acme, missing, count):
    spent(monthly(acme, alert_percents=[33]), LIMIT * 33 // 100 - missing)
    assert alerts.notice(MOMENT) == count


def test_what_is_only_held_is_no_alarm(acme):
    spent(monthly(acme), 0, pending=LIMIT)
    assert alerts.notice(MOMENT) == 0


def test_a_limit_of_nothing_alerts_once_something_is_spent(acme):
    budget = monthly(acme)
    budget.limit_pico = 0
    budget.save()
    spent(budget, 0)
    assert alerts.notice(MOMENT) == 0
    spent(budget, 1)
    assert alerts.notice(MOMENT) == 3


@pytest.mark.parametrize(
    "fields",
    [{"active": False}, {"alert_percents": []}],
    ids=["off", "none-wanted"],
)
def test_who_wants_no_alert_gets_none(acme, fields):
    spent(monthly(acme, **fields), LIMIT)
    assert alerts.notice(MOMENT) == 0


def test_the_next_window_alerts_anew_and_old_ones_are_left_alone(acme):
    budget = monthly(acme, period="day", alert_percents=[100])
    for day in range(3):
        moment = MOMENT + timedelta(days=day)
        spent(budget, LIMIT, moment=moment)
        assert alerts.notice(moment) == 1
    assert alerts.notice(MOMENT + timedelta(days=7)) == 0


def test_what_was_spent_in_a_windows_last_moment_is_told_after_it(acme):
    spent(monthly(acme, period="day", alert_percents=[100]), LIMIT)
    over = datetime(2026, 6, 12, tzinfo=UTC)
    assert alerts.notice(over + alerts.LATE) == 0
    assert alerts.notice(over + timedelta(minutes=1)) == 1


def test_each_end_user_is_told_of_alone(acme):
    budget = monthly(acme, per_end_user=True, alert_percents=[100])
    spent(budget, LIMIT, end_user="ann")
    spent(budget, LIMIT - 1, end_user="bob")
    assert alerts.notice(MOMENT) == 1
    [event] = OutboxEvent.objects.all()
    assert event.type == "budget.threshold_reached"
    assert event.payload["data"]["end_user"] == "ann"
    assert event.payload["data"]["posted_usd"] == "100.000000000000"


def test_a_raise_in_force_counts(acme):
    budget = monthly(acme, alert_percents=[100])
    by = User.objects.create(username="ada")
    hour = timedelta(hours=1)
    ends = MOMENT + hour
    BudgetRaise.objects.create(
        budget=budget, extra_pico=1, starts=MOMENT - hour, ends=ends, reason="x", by=by
    )
    spent(budget, LIMIT)
    assert alerts.notice(MOMENT) == 0
    assert alerts.notice(ends) == 1


# Forecasts.


@pytest.mark.parametrize(
    ("moment", "posted", "count"),
    [
        (MOMENT, LIMIT // 3, 0),
        (MOMENT, LIMIT // 3 + 1, 1),
        (MOMENT, LIMIT, 0),
        # A quarter of the month is 7.5 days.
        (datetime(2026, 6, 8, 11, 59, 59, tzinfo=UTC), LIMIT // 2, 0),
        (datetime(2026, 6, 8, 12, tzinfo=UTC), LIMIT // 2, 1),
    ],
    ids=["just-enough", "too-much", "there-already", "too-early", "a-quarter"],
)
def test_a_forecast_is_linear_and_waits_for_a_quarter(acme, moment, posted, count):
    budget = monthly(acme, alert_percents=[], forecast_alert=True)
    spent(budget, posted, moment=moment)
    assert alerts.notice(moment) == count
    assert alerts.notice(moment) == 0
    assert told(budget) == [("forecast", 100)] * count


def test_a_forecast_says_how_much(acme):
    spent(monthly(acme, alert_percents=[], forecast_alert=True), 40 * USD)
    alerts.notice(MOMENT)
    assert BudgetAlert.objects.get().forecast_pico == 120 * USD
    assert OutboxEvent.objects.get().payload["data"]["forecast_usd"] == "120.000000000000"


def test_a_budget_without_an_end_has_no_forecast(acme):
    spent(monthly(acme, period="total", alert_percents=[], forecast_alert=True), LIMIT - 1)
    assert alerts.notice(MOMENT) == 0


def test_a_day_of_23_hours_is_told_by_its_own_length(acme):
    """In Berlin on the last Sunday of March a quarter of the day is 5 h 45 min."""
    acme.tenant.time_zone = "Europe/Berlin"
    acme.tenant.save()
    midnight = datetime(2026, 3, 28, 23, tzinfo=UTC)
    budget = monthly(acme, period="day", alert_percents=[], forecast_alert=True)
    window = spent(budget, LIMIT // 2, moment=midnight)
    assert window.ends - window.starts == timedelta(hours=23)
    quarter = timedelta(hours=5, minutes=45)
    assert alerts.notice(midnight + quarter - timedelta(seconds=1)) == 0
    assert alerts.notice(midnight + quarter) == 1


# Mail.


@pytest.fixture
def people(acme, globex):
    for account in (acme, globex):
        for role in ("owner", "admin", "finance", "developer", "viewer"):
            name = f"{role}@{account.tenant.name.lower()}.example"
            account.tenant.members.create(
                user=User.objects.create(username=name, email=name), role=role
            )
    gone = User.objects.create(username="gone", email="gone@acme.example", is_active=False)
    acme.tenant.members.create(user=gone, role="owner")
    acme.tenant.members.create(user=User.objects.create(username="mute"), role="owner")


def test_those_who_answer_for_the_money_are_told_in_one_mail(acme, globex, people):
    now = timezone.now()
    spent(monthly(acme, model="gpt-4o", alert_percents=[50, 80]), 90 * USD, moment=now)
    tell_of_budgets()
    tell_of_budgets()
    [message] = mail.outbox
    assert message.to == [f"{role}@acme.example" for role in ("owner", "admin", "finance")]
    assert message.subject == "2 budget alerts for Acme"
    assert "gpt-4o" in message.body
    assert "80 % reached: $90.00 of $100.00" in message.body
    assert set(BudgetAlert.objects.values_list("recipients", flat=True)) == {3}


def test_names_are_neither_escaped_nor_headers(acme, people):
    acme.tenant.name = "A & B\nBcc: eve@example.org"
    acme.tenant.save()
    spent(monthly(acme, alert_percents=[50]), LIMIT, moment=timezone.now())
    tell_of_budgets()
    [message] = mail.outbox
    assert message.subject == "Budget alert for A & B Bcc: eve@example.org"
    assert "A & B" in message.body


def test_a_tenant_with_nobody_to_tell_is_noted_and_left_alone(acme):
    spent(monthly(acme, alert_percents=[50]), LIMIT, moment=timezone.now())
    tell_of_budgets()
    assert mail.outbox == []
    alert = BudgetAlert.objects.get()
    assert (alert.mailed is not None, alert.recipients) == (True, 0)


class Server:
    """A mail server with a mind of its own, for as long as `error` is set."""

    error: Exception | None = None
    asked = 0


@pytest.fixture
def server(monkeypatch):
    made, send = Server(), alerts.EmailMessage.send

    def sent(message):
        made.asked += 1
        if made.error is not None:
            raise made.error
        return send(message)

    monkeypatch.setattr("billing.alerts.EmailMessage.send", sent)
    return made


@pytest.mark.parametrize(
    ("error", "asked"),
    [(ConnectionRefusedError(), 1), (smtplib.SMTPRecipientsRefused({}), 2)],
    ids=["away", "refused"],
)
def test_what_could_not_be_mailed_is_mailed_later(acme, globex, people, server, error, asked):
    for account in (acme, globex):
        spent(monthly(account, alert_percents=[50]), LIMIT, moment=timezone.now())
    server.error = error
    tell_of_budgets()
    assert (server.asked, mail.outbox) == (asked, [])
    server.error = None
    tell_of_budgets()
    tell_of_budgets()
    assert len(mail.outbox) == 2
    assert BudgetAlert.objects.count() == 2


def test_what_could_not_be_mailed_for_a_day_is_let_go(acme, people):
    spent(monthly(acme, period="total", alert_percents=[50]), LIMIT)
    alerts.notice(timezone.now() - alerts.MAIL_AGE_MAX)
    assert alerts.mail() == 0
    assert mail.outbox == []


def test_a_mail_is_bounded(acme, people, monkeypatch):
    monkeypatch.setattr(alerts, "ALERTS_PER_MAIL_MAX", 2)
    monkeypatch.setattr(alerts, "ALERTS_PER_STATEMENT_MAX", 2)
    budget = monthly(acme, per_end_user=True, alert_percents=[100])
    for number in range(5):
        spent(budget, LIMIT, moment=timezone.now(), end_user=f"user-{number}")
    tell_of_budgets()
    [message] = mail.outbox
    assert message.body.count("100 % reached") == 2
    assert "And 3 more" in message.body


@pytest.mark.parametrize(
    "percents",
    [[0], [1_001], list(range(1, ALERT_PERCENTS_MAX + 2))],
    ids=["none", "too-much", "too-many"],
)
def test_thresholds_are_bounded(acme, percents):
    budget = monthly(acme)
    budget.alert_percents = percents
    with pytest.raises(ValidationError):
        budget.full_clean()


def test_workers_at_once_tell_it_once(live):
    acme = Account("Acme", GatewayInstance.objects.create(host="here", pid=1))
    budget = monthly(acme, alert_percents=[10, 20, 30, 40])
    window = spent(budget, LIMIT, moment=timezone.now())

    def notice(_):
        try:
            return alerts.notice()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(notice, range(8)))
    assert told(budget) == [("threshold", percent) for percent in (10, 20, 30, 40)]
    assert OutboxEvent.objects.filter(tenant=acme.tenant).count() == 4
    # Rows stay here, and others count that the books balance.
    window.posted_pico = 0
    window.save()
