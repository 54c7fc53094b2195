"""A provider's credential goes in and never comes out, and goes to no other address."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from providers.models import Credential, Model, Upstream
from tenants.models import Tenant
from tests.admin.conftest import House, Submit, fields_of

SECRET = "sk-of-the-vendor"
LONG = "sk-proj-0123456789abcdefghijklmn"
ROW = "credentials-{}-{}"


@pytest.fixture
def upstream(house: House) -> Upstream:
    house.upstream.add_credential(SECRET)
    return house.upstream


def page(upstream: Upstream) -> str:
    return f"/admin/providers/upstream/{upstream.pk}/change/"


def row(number: int, **fields: Any) -> dict[str, Any]:
    """Fields of one line of credentials, under the names that they have in the form."""
    return {ROW.format(number, name): value for name, value in fields.items()}


def new_rows(first: int, *rows: dict[str, Any]) -> dict[str, Any]:
    """Lines that are added below the first ones, which are stored already."""
    sent: dict[str, Any] = {"credentials-TOTAL_FORMS": first + len(rows)}
    for number, fields in enumerate(rows, start=first):
        sent |= row(number, **{"name": "default", "enabled": "on", **fields})
    return sent


def opened(upstream: Upstream) -> dict[str, str]:
    return {each.name: each.opened() for each in upstream.credentials.select_related("upstream")}


def test_empty_keeps_it(upstream: Upstream, submit: Submit):
    assert submit(page(upstream), name="Renamed").status_code == 302
    assert opened(upstream) == {"default": SECRET}
    assert Upstream.objects.get().name == "Renamed"


def test_a_new_one_replaces_it(upstream: Upstream, submit: Submit):
    assert submit(page(upstream), **row(0, secret="sk-new")).status_code == 302
    assert opened(upstream) == {"default": "sk-new"}


def test_it_can_be_deleted(upstream: Upstream, submit: Submit):
    assert submit(page(upstream), **row(0, DELETE="on")).status_code == 302
    assert opened(upstream) == {}


def test_it_can_be_disabled(upstream: Upstream, submit: Submit):
    assert submit(page(upstream), **row(0, enabled="")).status_code == 302
    assert upstream.credentials.get().state == "disabled"
    assert opened(upstream) == {"default": SECRET}


def test_another_can_be_added(upstream: Upstream, submit: Submit):
    added = new_rows(1, {"name": "second", "secret": f" {LONG}\n"})
    assert submit(page(upstream), **added).status_code == 302
    assert opened(upstream) == {"default": SECRET, "second": LONG}


def test_a_tenant_can_bring_its_own(upstream: Upstream, house: House, submit: Submit):
    added = new_rows(1, {"secret": "sk-acme", "tenant": house.tenant.pk})
    assert submit(page(upstream), **added).status_code == 302
    shared, own = Credential.objects.all()
    assert (shared.tenant, own.tenant, own.opened()) == (None, house.tenant, "sk-acme")


def test_a_new_upstream_comes_with_its_credentials(desk: Client):
    url = "/admin/providers/upstream/add/"
    vendor = {"name": "Groq", "slug": "groq", "dialect": "openai", "base_url": "https://groq.test"}
    added = new_rows(0, {"secret": "sk-1"}, {"name": "second", "secret": "sk-2"})
    assert desk.post(url, fields_of(desk.get(url)) | vendor | added).status_code == 302
    assert opened(Upstream.objects.get(slug="groq")) == {"default": "sk-1", "second": "sk-2"}


def test_a_new_one_needs_its_secret(upstream: Upstream, submit: Submit):
    refused = submit(page(upstream), **new_rows(1, {"name": "second"}))
    assert "Enter the vendor&#x27;s key." in refused.content.decode()
    assert opened(upstream) == {"default": SECRET}


@pytest.mark.parametrize(
    ("is_shared", "told"),
    [(True, "Two shared credentials are called"), (False, "Please correct the duplicate data")],
    ids=["shared", "brought"],
)
def test_two_may_not_have_the_same_name(
    upstream: Upstream, house: House, submit: Submit, is_shared: bool, told: str
):
    upstream.add_credential("sk-acme", tenant=house.tenant)
    same = {"name": "same", "secret": "sk", "tenant": "" if is_shared else house.tenant.pk}
    for rows in ([same, same], [same | {"name": "default"}]):
        assert told in submit(page(upstream), **new_rows(2, *rows)).content.decode()
    assert upstream.credentials.count() == 2


@pytest.mark.parametrize("secret", [SECRET, LONG], ids=["short", "long"])
def test_it_is_never_rendered(desk: Client, upstream: Upstream, submit: Submit, secret: str):
    submit(page(upstream), **row(0, secret=secret))
    refused = submit(page(upstream), base_url="not a url", **row(0, secret="sk-new"))
    assert refused.status_code == 200
    for response in (refused, desk.get(page(upstream)), desk.get("/admin/providers/upstream/")):
        text = response.content.decode()
        assert secret not in text
        assert secret[:6] not in text
        assert "sk-new" not in text
    assert ("ends in klmn" in desk.get(page(upstream)).content.decode()) is (secret == LONG)
    assert secret not in LogEntry.objects.latest("action_time").change_message


def test_another_address_needs_each_of_them_again(upstream: Upstream, submit: Submit):
    upstream.add_credential(LONG, "second")
    elsewhere = {"base_url": "https://evil.example/v1"}
    refused = submit(page(upstream), **elsewhere, **row(0, secret=SECRET))
    assert "bound to the old base URL" in refused.content.decode()
    assert Upstream.objects.get().base_url != elsewhere["base_url"]
    assert opened(upstream) == {"default": SECRET, "second": LONG}
    both = row(0, secret=SECRET) | row(1, secret=LONG)
    assert submit(page(upstream), **elsewhere, **both).status_code == 302
    assert opened(upstream) == {"default": SECRET, "second": LONG}
    assert Upstream.objects.get().base_url == elsewhere["base_url"]


def test_another_address_may_come_with_deleting(upstream: Upstream, submit: Submit):
    moved = submit(page(upstream), base_url="https://b.example/v1", **row(0, DELETE="on"))
    assert moved.status_code == 302
    assert opened(upstream) == {}


def test_without_one_the_address_is_free(house: House, submit: Submit):
    assert submit(page(house.upstream), base_url="https://b.example/v1").status_code == 302


def test_another_tenant_needs_it_again(upstream: Upstream, house: House, submit: Submit):
    upstream.credentials.all().delete()
    own = upstream.add_credential(SECRET, tenant=house.tenant)
    globex = Tenant.objects.create(slug="globex", name="Globex")
    for tenant in ("", globex.pk):
        refused = submit(page(upstream), **row(0, tenant=tenant))
        assert "bound to its tenant" in refused.content.decode()
        own.refresh_from_db()
        assert own.tenant == house.tenant
    assert submit(page(upstream), **row(0, tenant="", secret="sk-2")).status_code == 302
    assert opened(upstream) == {"default": "sk-2"}


def test_one_that_does_not_open_is_told(desk: Client, upstream: Upstream):
    Upstream.objects.update(base_url="https://by-sql.example/v1")
    assert "unusable" in desk.get(page(upstream)).content.decode()


def test_lists_tell_how_many_there_are(desk: Client, upstream: Upstream, house: House):
    upstream.add_credential(LONG, "second")
    upstream.add_credential("sk-acme", tenant=house.tenant)
    assert "2 shared, 1 brought" in desk.get("/admin/providers/upstream/").content.decode()


def test_a_tenants_page_shows_what_it_has_brought(desk: Client, upstream: Upstream, house: House):
    globex = Tenant.objects.create(slug="globex", name="Globex")
    upstream.add_credential(LONG, "the card of Acme", tenant=house.tenant)
    own, others = (
        desk.get(f"/admin/tenants/tenant/{tenant.pk}/change/").content.decode()
        for tenant in (house.tenant, globex)
    )
    assert "the card of Acme" in own
    assert "klmn" in own
    assert "the card of Acme" not in others
    assert LONG not in own


def test_names_that_the_ledger_uses_stay(house: House, submit: Submit):
    submit(page(house.upstream), slug="other")
    submit(f"/admin/providers/model/{house.model.pk}/change/", name="other")
    assert Upstream.objects.get().slug == "openai"
    assert Model.objects.get().name == "gpt-4o"


def test_models_show_their_prices_and_routes(
    desk: Client, house: House, django_assert_max_num_queries
):
    for number in range(5):
        Model.objects.create(name=f"model-{number}")
    with django_assert_max_num_queries(8):
        text = desk.get("/admin/providers/model/").content.decode()
    assert "2.50 / 10.00" in text
    assert "no price" in text
