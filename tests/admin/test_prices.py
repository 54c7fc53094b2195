"""A price that a ledger line may name is closed and followed, never edited."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from billing.models import Price
from tests.admin.conftest import House, Submit

ADD = "/admin/billing/price/add/"
NEW = {"upstream": "openai", "model": "gpt-4o", "component": "input", "usd": "3", "per": "1000000"}


def page(price: Price) -> str:
    return f"/admin/billing/price/{price.pk}/change/"


def test_an_unused_one_can_be_edited_and_deleted(house: House, desk: Client, submit: Submit):
    price = house.prices["input"]
    assert submit(page(price), usd="2.75").status_code == 302
    price.refresh_from_db()
    assert price.usd == Decimal("2.75")
    assert desk.post(page(price).replace("change", "delete"), {"post": "yes"}).status_code == 302
    assert not Price.objects.filter(pk=price.pk).exists()


@pytest.mark.parametrize("use", ["charge", "hold"])
def test_a_used_one_can_only_end(house: House, desk: Client, submit: Submit, use: str):
    getattr(house, use)()
    price = house.prices["input"]
    ends = timezone.now().replace(microsecond=0) + timedelta(days=1)
    end = {"valid_to_0": f"{ends:%Y-%m-%d}", "valid_to_1": f"{ends:%H:%M:%S}"}
    assert submit(page(price), usd="9", model="other", **end).status_code == 302
    price.refresh_from_db()
    assert (price.usd, price.model, price.valid_to) == (Decimal("2.5"), "gpt-4o", ends)
    assert desk.post(page(price).replace("change", "delete"), {"post": "yes"}).status_code == 403


def test_an_overlap_is_refused(house: House, submit: Submit):
    refused = submit(ADD, **NEW)
    assert "Another price of this component is valid" in refused.content.decode()
    assert Price.objects.count() == 3


def test_a_new_one_replaces_the_present_one(house: House, submit: Submit):
    house.charge()
    assert submit(ADD, **NEW, supersede="on").status_code == 302
    old = Price.objects.get(pk=house.prices["input"].pk)
    new = Price.objects.get(usd=3)
    assert old.valid_to == new.valid_from
    assert new.valid_to is None


def test_replacing_with_a_mistake_closes_nothing(house: House, submit: Submit):
    assert submit(ADD, **NEW | {"usd": "-1"}, supersede="on").status_code == 200
    assert Price.objects.get(pk=house.prices["input"].pk).valid_to is None


def test_the_database_refuses_what_a_form_could_miss(house: House):
    with pytest.raises(IntegrityError):
        Price.objects.create(**NEW)


def test_the_list_reads_per_million(house: House, desk: Client):
    text = desk.get("/admin/billing/price/").content.decode()
    assert "$2.50" in text
    assert "per 1M tokens" in text
