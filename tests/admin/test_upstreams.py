"""A provider's credential goes in and never comes out, and goes to no other address."""

import pytest
from django.test import Client

from providers import credentials
from providers.models import Model, Upstream
from tests.admin.conftest import House, Submit

SECRET = "sk-of-the-vendor"


@pytest.fixture
def upstream(house: House) -> Upstream:
    house.upstream.store_credential(SECRET)
    house.upstream.save()
    return house.upstream


def page(upstream: Upstream) -> str:
    return f"/admin/providers/upstream/{upstream.pk}/change/"


def opened(upstream: Upstream) -> str | None:
    upstream.refresh_from_db()
    if upstream.credential_sealed is None:
        return None
    return credentials.open_sealed(upstream.credential_sealed, upstream.base_url)


def test_empty_keeps_it(upstream: Upstream, submit: Submit):
    assert submit(page(upstream), name="Renamed").status_code == 302
    assert opened(upstream) == SECRET
    assert upstream.name == "Renamed"


def test_a_new_one_replaces_it(upstream: Upstream, submit: Submit):
    assert submit(page(upstream), credential="sk-new").status_code == 302
    assert opened(upstream) == "sk-new"


def test_it_can_be_cleared(upstream: Upstream, submit: Submit):
    assert submit(page(upstream), clear_credential="on").status_code == 302
    assert opened(upstream) is None


def test_it_is_never_rendered(desk: Client, upstream: Upstream, submit: Submit):
    refused = submit(page(upstream), credential="sk-new", base_url="not a url")
    assert refused.status_code == 200
    for response in (refused, desk.get(page(upstream)), desk.get("/admin/providers/upstream/")):
        assert SECRET not in response.content.decode()
        assert "sk-new" not in response.content.decode()


def test_another_address_needs_it_again(upstream: Upstream, submit: Submit):
    elsewhere = {"base_url": "https://evil.example/v1"}
    refused = submit(page(upstream), **elsewhere)
    assert "bound to the old base URL" in refused.content.decode()
    assert opened(upstream) == SECRET
    assert submit(page(upstream), **elsewhere, credential=SECRET).status_code == 302
    assert opened(upstream) == SECRET
    assert upstream.base_url == elsewhere["base_url"]


def test_another_address_may_come_with_clearing(upstream: Upstream, submit: Submit):
    moved = submit(page(upstream), base_url="https://b.example/v1", clear_credential="on")
    assert moved.status_code == 302
    assert opened(upstream) is None


def test_without_one_the_address_is_free(house: House, submit: Submit):
    assert submit(page(house.upstream), base_url="https://b.example/v1").status_code == 302


def test_entering_and_clearing_at_once_is_refused(upstream: Upstream, submit: Submit):
    both = submit(page(upstream), credential="sk-new", clear_credential="on")
    assert "Either enter" in both.content.decode()


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
