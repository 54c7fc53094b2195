"""Every page of every model answers, to those who may see it only."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from billing.models import Entry
from billing.proposals import propose
from billing.tasks import prove
from tests.admin.conftest import House
from tests.billing.publishing import price, way

OURS = ("tenants", "providers", "billing")
PAGES = {model._meta.label: model for model in admin.site._registry}
READ_ONLY = (
    "billing.Entry",
    "billing.Hold",
    "billing.BudgetWindow",
    "billing.GatewayInstance",
    "billing.PriceProposal",
    "billing.Proof",
)


@pytest.fixture
def full(house: House) -> House:
    """Every table has a row."""
    house.charge()
    house.hold()
    Group.objects.create(name="finance")
    propose([way(price("input", "3"))])
    prove()
    return house


def test_every_model_of_ours_is_registered_except_the_inline_ones():
    models = {model._meta.label for app in OURS for model in apps.get_app_config(app).get_models()}
    assert models - set(PAGES) == {
        "billing.BudgetAlert",
        "billing.BudgetRaise",
        # Nobody reads it before webhooks send it.
        "billing.OutboxEvent",
        "billing.PastLimit",
        "providers.Alias",
        "providers.Credential",
        "providers.Route",
    }


@pytest.mark.parametrize("label", PAGES)
def test_list_and_page_answer(desk: Client, full: House, label: str):
    name = label.lower().replace(".", "_")
    changelist = desk.get(reverse(f"admin:{name}_changelist"))
    assert changelist.status_code == 200
    row = PAGES[label].objects.first()
    assert row is not None
    page = desk.get(reverse(f"admin:{name}_change", args=[row.pk]))
    assert page.status_code == 200


@pytest.mark.parametrize("label", sorted(set(PAGES) - set(READ_ONLY)))
def test_add_form_answers(desk: Client, full: House, label: str):
    assert desk.get(reverse(f"admin:{label.lower().replace('.', '_')}_add")).status_code == 200


@pytest.mark.parametrize("label", READ_ONLY)
def test_what_the_gateway_writes_is_read_only(desk: Client, full: House, label: str):
    name, row = label.lower().replace(".", "_"), PAGES[label].objects.first()
    assert desk.get(reverse(f"admin:{name}_add")).status_code == 403
    assert desk.post(reverse(f"admin:{name}_delete", args=[row.pk])).status_code == 403
    assert desk.post(reverse(f"admin:{name}_change", args=[row.pk]), {}).status_code in (403, 405)


@pytest.mark.parametrize("label", ["tenants.Tenant", "tenants.Project", "tenants.ApiKey"])
def test_what_the_ledger_names_is_never_deleted(desk: Client, full: House, label: str):
    name, row = label.lower().replace(".", "_"), PAGES[label].objects.first()
    assert desk.post(reverse(f"admin:{name}_delete", args=[row.pk])).status_code == 403


def test_index_and_login_name_the_place(desk: Client, settings: Any):
    settings.ENVIRONMENT = "staging"
    for page in (desk.get("/admin/"), Client().get("/admin/login/")):
        assert page.status_code == 200
        assert "Runestone" in page.content.decode()
    assert "staging" in desk.get("/admin/").content.decode()


def test_nothing_is_loaded_from_elsewhere(desk: Client, full: House):
    page = desk.get(f"/admin/billing/entry/{Entry.objects.first().pk}/change/").content.decode()
    for attribute in ('src="', 'rel="stylesheet" href="', '<link href="'):
        for address in page.split(attribute)[1:]:
            assert address.startswith(("/static/", "/admin/")), address[:80]


def test_strangers_are_sent_to_the_login(full: House):
    User.objects.create_user("mallory")
    mallory = Client()
    mallory.force_login(User.objects.get(username="mallory"))
    for client in (Client(), mallory):
        for name in ("index", "billing_entry_changelist", "tenants_apikey_add"):
            response = client.get(reverse(f"admin:{name}"))
            assert response.status_code == 302
            assert "/admin/login/" in response["Location"]


def test_staff_see_only_what_they_may(full: House):
    User.objects.create_user("trent", is_staff=True)
    trent = Client()
    trent.force_login(User.objects.get(username="trent"))
    assert "/admin/billing/entry/" not in trent.get("/admin/").content.decode()
    assert trent.get(reverse("admin:billing_entry_changelist")).status_code == 403
    entry = Entry.objects.first()
    assert trent.get(reverse("admin:billing_entry_change", args=[entry.pk])).status_code == 403
