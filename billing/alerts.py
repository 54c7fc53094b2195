"""Alerts of budgets: each once per window, mailed to those who answer for the tenant's money.

Beat looks at the open windows every minute; no call waits for it. What counts is what is posted: a
hold is the most that a call can cost, and would cry wolf. The row comes first and is unique, with
the event for webhooks beside it; mail follows, and is tried again for a day if it cannot be sent.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Any

from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.template.loader import render_to_string
from django.utils import timezone

from billing.models import BudgetAlert, OutboxEvent
from runestone.lib.money import usd_from_pico
from tenants.models import Member, Tenant

# Less of a period says too little about the rest of it.
FORECAST_ELAPSED_PERCENT_MIN = 25
# A window that is over may still be charged for calls that it admitted.
LATE = timedelta(hours=1)
ALERTS_PER_STATEMENT_MAX = 500
ALERTS_PER_MAIL_MAX = 50
RECIPIENTS_MAX = 50
MAIL_AGE_MAX = timedelta(days=1)
READERS = (Member.Role.OWNER, Member.Role.ADMIN, Member.Role.FINANCE)

log = logging.getLogger(__name__)


def notice(moment: datetime | None = None) -> int:
    """Writes down what is to be told as of `moment`; returns how many alerts are new.

    Any number of workers may do so at once: an alert is of whoever inserts its row.
    """
    moment = moment or timezone.now()
    noticed = 0
    while True:
        with transaction.atomic():
            count = _notice_some(moment)
        noticed += count
        if count < ALERTS_PER_STATEMENT_MAX:
            return noticed


def mail() -> int:
    """Mails what has not been mailed, one message a tenant; returns how many alerts were told.

    A worker that dies between the sending and its commit makes the next one send again.
    """
    waiting = BudgetAlert.objects.filter(
        mailed__isnull=True, created__gt=timezone.now() - MAIL_AGE_MAX
    )
    tenants = Tenant.objects.filter(pk__in=waiting.values("window__budget__tenant"))
    told = 0
    for tenant in tenants.order_by("pk"):
        try:
            with transaction.atomic():
                told += _mail_to(tenant, waiting)
        except (SMTPRecipientsRefused, SMTPDataError):
            log.warning("the alerts of tenant %s were refused", tenant.slug, exc_info=True)
        except OSError:
            # The mail server is away: the others need not find that out one by one.
            log.warning("budget alerts cannot be mailed", exc_info=True)
            break
    return told


def _notice_some(moment: datetime) -> int:
    parameters: dict[str, Any] = {
        "moment": moment,
        "late": LATE,
        "elapsed_min": FORECAST_ELAPSED_PERCENT_MIN,
        "most": ALERTS_PER_STATEMENT_MAX,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOTICE, parameters)
        ids = [row[0] for row in cursor.fetchall()]
    alerts = BudgetAlert.objects.filter(pk__in=ids).select_related("window__budget")
    OutboxEvent.objects.bulk_create(_event(alert) for alert in alerts)
    return len(ids)


def _event(alert: BudgetAlert) -> OutboxEvent:
    window = alert.window
    budget = window.budget
    names = {
        BudgetAlert.Kind.THRESHOLD: "budget.threshold_reached",
        BudgetAlert.Kind.FORECAST: "budget.limit_forecast",
    }
    name = names[BudgetAlert.Kind(alert.kind)]
    data: dict[str, Any] = {
        "alert": alert.pk,
        "budget": budget.pk,
        "project": budget.project_id,
        "api_key": budget.api_key_id,
        "model": budget.model or None,
        "per_end_user": budget.per_end_user,
        "end_user": window.end_user or None,
        "period": budget.period,
        "starts": window.starts.isoformat(),
        "ends": window.ends.isoformat(),
        "hard": budget.hard,
        "percent": alert.percent,
        # Texts: a JSON number may come out of a parser as a float.
        "posted_usd": _usd(alert.posted_pico),
        "limit_usd": _usd(alert.limit_pico),
        "forecast_usd": None if alert.forecast_pico is None else _usd(alert.forecast_pico),
    }
    payload = {"type": name, "timestamp": alert.created.isoformat(), "data": data}
    return OutboxEvent(tenant_id=budget.tenant_id, type=name, payload=payload)


def _usd(pico: int) -> str:
    return format(usd_from_pico(pico), "f")


def _mail_to(tenant: Tenant, waiting: Any) -> int:
    mine = waiting.filter(window__budget__tenant=tenant).order_by("created", "percent")
    alerts = list(
        mine.select_for_update(skip_locked=True, of=("self",)).select_related(
            "window__budget__project", "window__budget__api_key", "window__budget__tenant"
        )
    )
    recipients = _recipients(tenant)
    if alerts and recipients:
        _message(tenant, alerts, recipients).send()
    BudgetAlert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(
        mailed=timezone.now(), recipients=len(recipients)
    )
    return len(alerts)


def _recipients(tenant: Tenant) -> list[str]:
    members = tenant.members.filter(role__in=READERS, user__is_active=True)
    emails = members.exclude(user__email="").order_by("pk").values_list("user__email", flat=True)
    return list(dict.fromkeys(emails))[:RECIPIENTS_MAX]


def _message(tenant: Tenant, alerts: list[BudgetAlert], recipients: Iterable[str]) -> EmailMessage:
    shown = alerts[:ALERTS_PER_MAIL_MAX]
    context = {
        "tenant": tenant,
        "alerts": [(alert, _local(tenant, alert.window.ends)) for alert in shown],
        "more": len(alerts) - len(shown),
    }
    # A header has one line, and a name might not.
    name = " ".join(tenant.name.split())
    subject = f"Budget alert for {name}"
    if len(alerts) > 1:
        subject = f"{len(alerts)} budget alerts for {name}"
    body = render_to_string("emails/budget_alerts.txt", context)
    return EmailMessage(subject, body, to=list(recipients))


def _local(tenant: Tenant, moment: datetime) -> str:
    return f"{moment.astimezone(tenant.zone):%Y-%m-%d %H:%M} {tenant.time_zone}"


# Forecasts are linear, and only for windows that are open and not yet over their limit.
_NOTICE = """
    WITH seen AS (
        SELECT w.id, w.posted_pico, w.ends > %(moment)s AS is_open, b.period,
               b.alert_percents, b.forecast_alert,
               w.limit_pico + billing_raised(
                   b.id, least(%(moment)s, w.ends - interval '1 microsecond')) AS limit_pico,
               extract(epoch FROM %(moment)s - w.starts) AS elapsed,
               extract(epoch FROM w.ends - w.starts) AS length
        FROM billing_budget b JOIN billing_budgetwindow w ON w.budget_id = b.id
        WHERE b.active AND w.posted_pico > 0
          AND w.starts <= %(moment)s AND w.ends > %(moment)s - %(late)s
    ), due AS (
        SELECT id, 'threshold' AS kind, percent, posted_pico, limit_pico, NULL::numeric AS forecast
        FROM seen, unnest(alert_percents) percent
        WHERE posted_pico * 100 >= limit_pico * percent
        UNION ALL
        SELECT id, 'forecast', 100, posted_pico, limit_pico, trunc(posted_pico * length / elapsed)
        FROM seen
        WHERE forecast_alert AND is_open AND period <> 'total' AND posted_pico < limit_pico
          AND elapsed * 100 >= length * %(elapsed_min)s
          AND posted_pico * length > limit_pico * elapsed
    )
    INSERT INTO billing_budgetalert
        (window_id, kind, percent, posted_pico, limit_pico, forecast_pico, created, recipients)
    SELECT d.id, d.kind, d.percent, d.posted_pico, d.limit_pico, d.forecast, %(moment)s, 0
    FROM due d
    WHERE NOT EXISTS (SELECT FROM billing_budgetalert a
                      WHERE a.window_id = d.id AND a.kind = d.kind AND a.percent = d.percent)
    ORDER BY d.id, d.kind, d.percent LIMIT %(most)s
    ON CONFLICT (window_id, kind, percent) DO NOTHING
    RETURNING id
"""
