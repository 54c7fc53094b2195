"""A key's secret is shown once, in the answer to the form, and is kept nowhere."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tenants.keys import digest, is_well_formed
from tenants.models import CACHE_SECONDS_MAX, ApiKey
from tests.admin.conftest import House, Submit, fields_of

ADD = "/admin/tenants/apikey/add/"
TEXT = re.compile(r"sk-rs-[0-9A-Za-z]{61}")


@pytest.fixture
def new_key(house: House) -> dict[str, Any]:
    return {"tenant": house.tenant.pk, "project": house.project.pk, "name": "ci"}


def page_of(key: ApiKey) -> str:
    return reverse("admin:tenants_apikey_change", args=[key.pk])


def test_it_works(submit: Submit, new_key: dict[str, Any]):
    response = submit(ADD, **new_key)
    assert response.status_code == 200
    [secret] = set(TEXT.findall(response.content.decode()))
    key = ApiKey.objects.get(name="ci")
    assert is_well_formed(secret)
    assert bytes(key.digest) == digest(secret, settings.RUNESTONE_KEY_PEPPER)
    assert "export OPENAI_BASE_URL=http://testserver/v1" in response.content.decode()
    assert f"export OPENAI_API_KEY={secret}" in response.content.decode()
    assert "no-store" in response["Cache-Control"]


def test_the_secret_is_nowhere_afterwards(desk: Client, submit: Submit, new_key: dict[str, Any]):
    secret = TEXT.findall(submit(ADD, **new_key).content.decode())[0]
    key = ApiKey.objects.get(name="ci")
    seen = [page_of(key), "/admin/tenants/apikey/", "/admin/", f"{page_of(key)[:-7]}history/"]
    hidden = secret.removeprefix(f"sk-rs-{key.prefix}")
    for url in seen:
        assert hidden not in desk.get(url).content.decode()
    kept = [
        *(str(session.get_decoded()) for session in Session.objects.all()),
        *(f"{log.object_repr}{log.change_message}" for log in LogEntry.objects.all()),
        *(str(row) for row in ApiKey.objects.values()),
    ]
    assert not [text for text in kept if hidden in text]


def test_the_same_form_makes_one_key(desk: Client, new_key: dict[str, Any]):
    form = fields_of(desk.get(ADD)) | new_key
    first, second = desk.post(ADD, form), desk.post(ADD, form)
    assert TEXT.search(first.content.decode())
    assert not TEXT.search(second.content.decode())
    assert "has made its key already" in second.content.decode()
    assert ApiKey.objects.filter(name="ci").count() == 1


def test_a_mistake_does_not_use_the_form_up(desk: Client, new_key: dict[str, Any]):
    form = fields_of(desk.get(ADD)) | new_key
    assert "This field is required" in desk.post(ADD, form | {"name": ""}).content.decode()
    assert TEXT.search(desk.post(ADD, form).content.decode())


def test_a_forged_form_is_refused(submit: Submit, new_key: dict[str, Any]):
    assert "Open it again" in submit(ADD, **new_key, once="forged").content.decode()
    assert not ApiKey.objects.filter(name="ci").exists()


def test_a_popup_shows_the_secret_too(desk: Client, submit: Submit, new_key: dict[str, Any]):
    assert TEXT.search(submit(f"{ADD}?_popup=1", **new_key, _popup="1").content.decode())


def test_a_key_that_never_works_is_refused(submit: Submit, new_key: dict[str, Any]):
    response = submit(ADD, **new_key, expires_at_0="2020-01-01", expires_at_1="00:00:00")
    assert "This moment has passed" in response.content.decode()


@pytest.mark.parametrize(
    ("seconds", "status"), [("", 302), ("60", 302), ("0", 200), (str(CACHE_SECONDS_MAX + 1), 200)]
)
def test_answers_are_kept_within_bounds(house: House, submit: Submit, seconds: str, status: int):
    assert submit(page_of(house.key), cache_seconds=seconds).status_code == status
    house.key.refresh_from_db()
    assert house.key.cache_seconds == (60 if seconds == "60" else None)


def test_a_project_of_another_tenant_is_refused(house: House, submit: Submit, new_key: Any):
    stranger = type(house.tenant).objects.create(slug="globex", name="Globex")
    response = submit(ADD, **(new_key | {"tenant": stranger.pk}))
    assert "belongs to another tenant" in response.content.decode()


def test_the_tenant_page_leads_to_the_form(desk: Client, house: House):
    response = desk.get(f"/admin/tenants/tenant/{house.tenant.pk}/key/", follow=True)
    assert response.context["adminform"].form.initial["tenant"] == str(house.tenant.pk)


def test_name_and_expiry_may_change_and_nothing_else(house: House, submit: Submit):
    before = ApiKey.objects.values().get(pk=house.key.pk)
    tomorrow = timezone.now() + timedelta(days=1)
    changes = {
        "name": "renamed",
        "expires_at_0": f"{tomorrow:%Y-%m-%d}",
        "expires_at_1": "00:00:00",
        "tenant": "0",
        "prefix": "x",
    }
    assert submit(page_of(house.key), **changes).status_code == 302
    after = ApiKey.objects.values().get(pk=house.key.pk)
    assert {name for name in after if after[name] != before[name]} == {"name", "expires_at"}


LIMITS = {"models_allow": "gpt-4o*,echo", "ip_allow": "10.0.0.0/8, ::1", "scopes": ["models"]}


def test_a_key_may_be_limited_from_the_start(submit: Submit, new_key: dict[str, Any]):
    assert TEXT.search(submit(ADD, **new_key, **LIMITS).content.decode())
    key = ApiKey.objects.get(name="ci")
    assert key.models_allow == ["gpt-4o*", "echo"]
    assert (key.ip_allow, key.scopes) == (["10.0.0.0/8", "::1"], ["models"])


def test_limits_may_change(house: House, submit: Submit):
    assert submit(page_of(house.key), **LIMITS).status_code == 302
    house.key.refresh_from_db()
    assert (house.key.ip_allow, house.key.scopes) == (["10.0.0.0/8", "::1"], ["models"])
    assert submit(page_of(house.key), models_allow="", ip_allow="", scopes=[]).status_code == 302
    house.key.refresh_from_db()
    assert house.key.models_allow == house.key.ip_allow == house.key.scopes == []


@pytest.mark.parametrize(
    "slip", [{"models_allow": "gpt 4o"}, {"ip_allow": "10.0.0.1/8"}, {"scopes": ["everything"]}]
)
def test_a_slip_in_a_limit_is_told(house: House, submit: Submit, slip: dict[str, Any]):
    response = submit(page_of(house.key), **slip)
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == list(slip)


def test_a_brought_key_is_named_by_its_hash(desk: Client, house: House):
    text = "sk-of-another-gateway-" + "x" * 20
    key, _ = ApiKey.bring(tenant=house.tenant, name="brought", text=text)
    for url in ("/admin/tenants/apikey/", page_of(key)):
        page = desk.get(url).content.decode()
        assert key.prefix in page
        assert text not in page


def test_revoking_asks_first(desk: Client, house: House):
    url = f"/admin/tenants/apikey/{house.key.pk}/revoke/"
    asked = desk.get(url).content.decode()
    assert "Revoke the key" in asked
    house.key.refresh_from_db()
    assert house.key.state == "active"
    assert desk.post(url).status_code == 302
    house.key.refresh_from_db()
    assert house.key.state == "revoked"
    assert "/revoke/" not in desk.get(page_of(house.key)).content.decode()


@pytest.mark.parametrize("state", ["active", "expired", "revoked"])
def test_the_list_filters_by_state(desk: Client, house: House, state: str):
    expired, _ = ApiKey.mint(tenant=house.tenant, name="trial")
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    ApiKey.mint(tenant=house.tenant, name="old")[0].revoke()
    response = desk.get(f"/admin/tenants/apikey/?state={state}")
    assert [key.state for key in response.context["cl"].result_list] == [state]
