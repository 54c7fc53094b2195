"""A tenant's page: its state turns by a button that asks, its tabs show what is its own."""

import pytest
from django.test import Client

from tenants.models import Tenant
from tests.admin.conftest import House


def page(tenant: Tenant) -> str:
    return f"/admin/tenants/tenant/{tenant.pk}/change/"


@pytest.mark.parametrize(
    ("button", "before", "after"),
    [("suspend", "active", "suspended"), ("reactivate", "suspended", "active")],
)
def test_its_state_turns(desk: Client, house: House, button: str, before: str, after: str):
    Tenant.objects.update(status=before)
    assert f"/{button}/" in desk.get(page(house.tenant)).content.decode()
    url = f"/admin/tenants/tenant/{house.tenant.pk}/{button}/"
    assert desk.get(url).status_code == 200
    assert Tenant.objects.get(pk=house.tenant.pk).status == before
    assert desk.post(url).status_code == 302
    assert Tenant.objects.get(pk=house.tenant.pk).status == after
    assert f"/{button}/" not in desk.get(page(house.tenant)).content.decode()


def test_its_tabs_show_its_own(desk: Client, house: House):
    house.charge()
    stranger = Tenant.objects.create(slug="globex", name="Globex")
    own, other = (desk.get(page(tenant)).content.decode() for tenant in (house.tenant, stranger))
    for mark in ("production (sk-rs-", "$0.0035", "$100.00"):
        assert mark in own
        assert mark not in other


def test_its_page_is_quick(desk: Client, house: House, django_assert_max_num_queries):
    for _ in range(30):
        house.charge()
    with django_assert_max_num_queries(22) as queries:
        desk.get(page(house.tenant))
    ledger = [each["sql"] for each in queries if 'FROM "billing_entry"' in each["sql"]]
    assert ledger
    assert all("LIMIT 20" in sql for sql in ledger)


def test_it_can_be_added(desk: Client, house: House):
    response = desk.get("/admin/tenants/tenant/add/")
    form = {"name": "Initech", "slug": "initech", "time_zone": "Europe/Zurich"}
    form["disconnect_policy"] = "abort"
    for inline in response.context["inline_admin_formsets"]:
        prefix = inline.formset.prefix
        form |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    assert desk.post("/admin/tenants/tenant/add/", form).status_code == 302
    assert Tenant.objects.get(slug="initech").status == "active"
