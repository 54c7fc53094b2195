from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Sum

from billing.models import Budget, BudgetWindow
from runestone.lib.fields import PicoField, PicoSumField
from tenants.models import Tenant

pytestmark = pytest.mark.django_db

# More than a bigint holds, and more than Decimal's usual 28 digits.
HUGE = 10**29 + 1


@pytest.fixture
def tenant():
    return Tenant.objects.create(slug="acme", name="Acme")


def test_it_works(tenant):
    budget = Budget.objects.create(tenant=tenant, limit_pico=5 * 10**12)
    budget.refresh_from_db()
    assert budget.limit_pico == 5 * 10**12
    assert type(budget.limit_pico) is int


def test_thirty_digits_are_exact(tenant):
    budget = Budget.objects.create(tenant=tenant, limit_pico=HUGE)
    budget.refresh_from_db()
    assert budget.limit_pico == HUGE
    with connection.cursor() as cursor:
        cursor.execute("SELECT limit_pico::text FROM billing_budget WHERE id = %s", [budget.id])
        assert cursor.fetchone() == (str(HUGE),)


def test_sums_are_integers_too(tenant):
    budget = Budget.objects.create(tenant=tenant, limit_pico=0)
    for day in (1, 2):
        BudgetWindow.objects.create(
            budget=budget,
            starts=f"2026-01-0{day}T00:00:00Z",
            ends=f"2026-01-0{day + 1}T00:00:00Z",
            limit_pico=0,
            posted_pico=HUGE,
        )
    total = BudgetWindow.objects.aggregate(total=Sum("posted_pico"))["total"]
    assert total == 2 * HUGE
    assert type(total) is int


def test_it_is_validated(tenant):
    Budget(tenant=tenant, limit_pico=1).full_clean()
    with pytest.raises(ValidationError) as caught:
        Budget(tenant=tenant, limit_pico=-1).full_clean()
    assert "limit_pico" in caught.value.message_dict


def test_too_many_digits_are_refused(tenant):
    with pytest.raises(ValidationError) as caught:
        Budget(tenant=tenant, limit_pico=10**30).full_clean()
    assert "limit_pico" in caught.value.message_dict


@pytest.mark.parametrize("value", ["7", 7, Decimal(7)])
def test_it_takes_whole_numbers(value):
    assert PicoSumField().to_python(value) == 7
    assert type(PicoSumField().to_python(value)) is int


@pytest.mark.parametrize("value", ["seven", "1.5", Decimal("0.1")])
def test_it_refuses_what_is_not_whole(value):
    with pytest.raises(ValidationError):
        PicoSumField().to_python(value)


def test_an_empty_one_stays_empty():
    assert PicoSumField().to_python(None) is None
    assert PicoSumField().from_db_value(None) is None


def test_migrations_name_no_digits():
    _, path, args, kwargs = PicoSumField(default=0).deconstruct()
    assert path == "runestone.lib.fields.PicoSumField"
    assert (args, kwargs) == ([], {"default": 0})


def test_one_amount_is_a_bigint():
    assert PicoField().db_type(connection) == "bigint"
