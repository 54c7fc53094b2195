"""Budgets are entered and shown in dollars, and stored in whole pico-dollars."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from billing.alerts import notice
from billing.models import Budget, BudgetRaise, BudgetWindow
from tests.admin.conftest import House, Submit
from tests.admin.conftest import fields_of as fields


def page(budget: Budget) -> str:
    return f"/admin/billing/budget/{budget.pk}/change/"


@pytest.mark.parametrize(
    ("dollars", "pico"),
    [
        ("0.000000000001", 1),
        ("0.1", 10**11),
        ("150", 150 * 10**12),
        ("9999999999999999.999999999999", 10**28 - 1),
        ("0", 0),
    ],
)
def test_dollars_come_back_exactly(
    desk: Client, house: House, submit: Submit, dollars: str, pico: int
):
    assert submit(page(house.budget), limit=dollars).status_code == 302
    house.budget.refresh_from_db()
    assert house.budget.limit_pico == pico
    shown = fields(desk.get(page(house.budget)))["limit"]
    assert "E" not in shown
    assert Decimal(shown) == Decimal(dollars)
    submit(page(house.budget))
    house.budget.refresh_from_db()
    assert house.budget.limit_pico == pico


@pytest.mark.parametrize("dollars", ["0.0000000000001", "10000000000000000", "-1", "NaN", "many"])
def test_what_is_no_amount_is_refused(house: House, submit: Submit, dollars: str):
    assert submit(page(house.budget), limit=dollars).status_code == 200
    house.budget.refresh_from_db()
    assert house.budget.limit_pico == 100 * 10**12


def test_it_can_be_added(house: House, submit: Submit):
    added = submit("/admin/billing/budget/add/", tenant=house.tenant.pk, limit="1.50", period="day")
    assert added.status_code == 302
    assert Budget.objects.get(period="day").limit_pico == 15 * 10**11


def test_its_scope_stays(house: House, submit: Submit):
    submit(page(house.budget), period="day", tenant="0")
    house.budget.refresh_from_db()
    assert (house.budget.period, house.budget.tenant) == ("month", house.tenant)


def test_windows_show_what_is_left(desk: Client, house: House, django_assert_max_num_queries):
    house.charge()
    house.hold(amount_pico=3 * 10**12)
    text = desk.get(page(house.budget)).content.decode()
    for amount in ("$0.0035", "$3.00", "$96.9965"):
        assert amount in text
    with django_assert_max_num_queries(8):
        assert "$96.9965 left" in desk.get("/admin/billing/budget/").content.decode()


def test_an_overrun_is_said_in_words(desk: Client, house: House):
    BudgetWindow.objects.update(posted_pico=101 * 10**12)
    assert "101 % · $1.00 over" in desk.get("/admin/billing/budget/").content.decode()


def test_a_budget_of_a_model_for_each_end_user(desk: Client, house: House, submit: Submit):
    new = {"tenant": house.tenant.pk, "limit": "1", "model": "gpt-4o", "per_end_user": "on"}
    assert submit("/admin/billing/budget/add/", **new).status_code == 302
    budget = Budget.objects.get(model="gpt-4o")
    assert budget.per_end_user
    assert (
        "Whole tenant, gpt-4o, each end user" in desk.get("/admin/billing/budget/").content.decode()
    )
    submit(page(budget), model="other", per_end_user="")
    budget.refresh_from_db()
    assert (budget.model, budget.per_end_user) == ("gpt-4o", True)


def raise_form(**changes: Any) -> dict[str, Any]:
    now = timezone.now()
    ends = now + timedelta(hours=2)
    return {
        "raises-TOTAL_FORMS": "1",
        "raises-0-extra": "50.000000000001",
        "raises-0-starts_0": f"{now:%Y-%m-%d}",
        "raises-0-starts_1": f"{now:%H:%M:%S}",
        "raises-0-ends_0": f"{ends:%Y-%m-%d}",
        "raises-0-ends_1": f"{ends:%H:%M:%S}",
        "raises-0-reason": "The launch.",
        **changes,
    }


def test_a_raise_says_who_and_why(desk: Client, house: House, submit: Submit, ada: User):
    assert submit(page(house.budget), **raise_form()).status_code == 302
    raised = house.budget.raises.get()
    assert (raised.extra_pico, raised.by, raised.reason) == (50 * 10**12 + 1, ada, "The launch.")
    text = desk.get("/admin/billing/budget/").content.decode()
    assert "$150.000000000001" in text
    assert "raised by $50.000000000001" in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"raises-0-reason": ""},
        {"raises-0-extra": "0"},
        {"raises-0-extra": "-1"},
        {"raises-0-ends_0": "2001-01-01"},
    ],
    ids=["no-reason", "nothing", "negative", "over"],
)
def test_a_raise_that_makes_no_sense_is_refused(
    house: House, submit: Submit, wrong: dict[str, str]
):
    assert submit(page(house.budget), **raise_form(**wrong)).status_code == 200
    assert not BudgetRaise.objects.exists()


def test_of_a_raise_that_stands_only_the_end_moves(house: House, submit: Submit):
    submit(page(house.budget), **raise_form())
    before = house.budget.raises.get()
    over = {"raises-0-ends_0": "2001-01-01", "raises-0-extra": "999", "raises-0-reason": "Other."}
    assert submit(page(house.budget), **over).status_code == 302
    after = house.budget.raises.get()
    assert (after.extra_pico, after.reason) == (before.extra_pico, before.reason)
    assert abs(timezone.now() - after.ends) < timedelta(minutes=1)
    # And then it is history.
    later = {"raises-0-ends_0": "2099-01-01"}
    submit(page(house.budget), **later)
    assert house.budget.raises.get().ends == after.ends


def test_its_page_shows_what_was_told_of_it(desk: Client, house: House, submit: Submit):
    assert submit(page(house.budget), alert_percents="90, 30").status_code == 302
    BudgetWindow.objects.update(posted_pico=40 * 10**12)
    assert notice() >= 1
    assert "30 % reached: $40.00 of $100.00" in desk.get(page(house.budget)).content.decode()
    assert submit(page(house.budget), alert_percents="0").status_code == 200
