"""Budgets are entered and shown in dollars, and stored in whole pico-dollars."""

from decimal import Decimal

import pytest
from django.test import Client

from billing.models import Budget, BudgetWindow
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
