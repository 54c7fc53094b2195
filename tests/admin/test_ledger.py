"""The ledger's list: read-only, never counted, never the whole of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.models import Entry
from runestone.lib.ids import request_name, uuid7
from tests.admin.conftest import House

LIST = "/admin/billing/entry/"


def found(response: Any) -> list[Any]:
    assert response.status_code == 200
    return [entry.pk for entry in response.context["cl"].result_list]


def age(entry: Entry, days: int) -> None:
    """The database lets nobody change a line; a test does it behind its back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_entry_partitions(%s, 0)", [entry.created - timedelta(days)])
        cursor.execute("ALTER TABLE billing_entry DISABLE TRIGGER append_only")
        cursor.execute(
            "UPDATE billing_entry SET created = created - %s WHERE id = %s",
            [timedelta(days), entry.pk],
        )
        cursor.execute("ALTER TABLE billing_entry ENABLE TRIGGER append_only")


def test_it_works(desk: Client, house: House):
    first, second = house.charge(), house.charge()
    assert found(desk.get(LIST)) == [second.pk, first.pk]


def test_it_takes_few_queries_and_no_count(desk: Client, house: House):
    for _ in range(20):
        house.charge()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        desk.get(LIST)
    assert len(queries) <= 6
    sql = [query["sql"] for query in queries]
    assert not [each for each in sql if "COUNT(" in each or "DISTINCT" in each]


def test_a_request_is_found_by_its_id(desk: Client, house: House):
    request = uuid7()
    wanted = house.settle(house.hold(request=request))
    house.charge()
    for term in (request_name(request), str(request), request.hex, f" {request_name(request)} "):
        assert found(desk.get(LIST, {"q": term})) == [wanted.pk]


def test_a_request_of_any_age_is_found(desk: Client, house: House):
    old = house.charge()
    age(old, days=40)
    assert found(desk.get(LIST)) == []
    assert found(desk.get(LIST, {"q": request_name(old.request_id)})) == [old.pk]


def test_what_is_no_id_finds_nothing_and_says_so(desk: Client, house: House):
    house.charge()
    response = desk.get(LIST, {"q": "gpt"})
    assert found(response) == []
    assert "no request&#x27;s id" in response.content.decode()


@pytest.mark.parametrize(("query", "days"), [("", 0), ("week", 3), ("month", 20), ("nonsense", 0)])
def test_there_is_always_a_window_of_time(desk: Client, house: House, query: str, days: int):
    inside, outside = house.charge(), house.charge()
    if days:
        age(inside, days)
    age(outside, 40)
    assert found(desk.get(LIST, {"recent": query})) == [inside.pk]


def test_a_range_replaces_the_window(desk: Client, house: House):
    old = house.charge()
    age(old, days=10)
    day = (timezone.now() - timedelta(days=10)).strftime("%Y-%m-%d")
    house.charge()
    span = {"created_from_0": day, "created_from_1": "00:00:00"}
    until = {"created_to_0": day, "created_to_1": "23:59:59"}
    assert found(desk.get(LIST, span | until)) == [old.pk]
    assert found(desk.get(LIST, until)) == [old.pk]
    assert len(found(desk.get(LIST, span))) == 2
    assert found(desk.get(LIST, {"created_from_0": "nonsense"})) is not None


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({"kind__exact": "void"}, False),
        ({"kind__exact": "charge"}, True),
        ({"price_state__exact": "unpriced"}, False),
        ({"outcome": "2"}, True),
        ({"outcome": "5"}, False),
        ({"outcome": "0"}, False),
        ({"model": "gpt-4o"}, True),
        ({"model": "gpt"}, False),
        ({"upstream": "openai"}, True),
    ],
)
def test_its_filters(desk: Client, house: House, query: dict[str, str], fits: bool):
    entry = house.charge()
    assert found(desk.get(LIST, query)) == [entry.pk] * fits


def test_filters_by_tenant_and_key(desk: Client, house: House):
    entry = house.charge()
    assert found(desk.get(LIST, {"tenant__id__exact": house.tenant.pk})) == [entry.pk]
    assert found(desk.get(LIST, {"api_key__id__exact": house.key.pk})) == [entry.pk]
    assert found(desk.get(LIST, {"tenant__id__exact": 0})) == []


def test_far_pages_end(desk: Client, house: House):
    house.charge()
    assert found(desk.get(LIST, {"p": 2})) == []
    assert desk.get(LIST, {"p": 101}).status_code == 302


def test_it_gives_up_instead_of_occupying_the_database(
    desk: Client, house: House, monkeypatch: pytest.MonkeyPatch
):
    house.charge()
    monkeypatch.setattr("billing.admin.ledger.STATEMENT_MS_MAX", 50)
    slow = Entry.objects.extra(where=["pg_sleep(1) IS NOT NULL"])
    monkeypatch.setattr("billing.admin.ledger.EntryAdmin.get_queryset", lambda *_: slow)
    response = desk.get(LIST)
    assert response.status_code == 503
    assert "shorter time" in response.content.decode()


def test_amounts_are_exact_and_unknown_is_not_zero(desk: Client, house: House):
    house.charge(amount_pico=1)
    house.settle(house.hold(), amount_pico=None, price_state="unpriced", price_ids=[])
    text = desk.get(LIST).content.decode()
    assert "$0.000000000001" in text
    assert "unknown" in text
    assert "unpriced" in text


def test_a_cached_answer_tells_what_it_saved(desk: Client, house: House):
    house.settle(house.hold(), amount_pico=0, kind="cached", saved_pico=1_500_000, price_ids=[])
    assert "cached, saved $0.0000015" in desk.get(LIST).content.decode()


def test_ctrl_k_leads_to_a_request(desk: Client, house: House):
    entry = house.charge()
    term = {"s": request_name(entry.request_id), "extended": "1"}
    assert (
        f"/admin/billing/entry/{entry.pk}/change/"
        in desk.get("/admin/search/", term).content.decode()
    )
