"""How a request was routed, as its page and the ledger's list show it."""

from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from billing.admin.routing_card import outcome
from billing.models import Entry
from runestone.lib.ids import uuid7
from runestone.lib.usage import NOTHING_USED
from tests.admin.conftest import MODEL, House

LIST = "/admin/billing/entry/"
FAILED = {"kind": "void", "amount_pico": 0, "price_ids": [], "status": 502}
REFUSED = FAILED | {"error": "upstream_refused"}
HEDGED = FAILED | {"status": 499, "error": "hedged"}
RATE_LIMITED = FAILED | {"status": 429, "error": "rate_limit_exceeded"}


def routed(*candidates: str, **left_out: str) -> dict[str, Any]:
    return {
        "policy": "cost",
        "candidates": [f"{upstream}/{MODEL}" for upstream in candidates],
        "left_out": {f"{upstream}/{MODEL}": why for upstream, why in left_out.items()},
    }


@pytest.fixture
def call(house: House) -> UUID:
    """A request's id."""
    return uuid7()


@pytest.fixture
def tried(house: House, call: UUID) -> Any:
    """tried(2, "openai", **line) settles the second attempt of `call`, at openai."""

    def settled(number: int, upstream: str, **line: Any) -> Entry:
        attempt = house.hold(
            request=call, attempt=number, upstream=upstream, byok=line.pop("byok", False)
        )
        return house.settle(attempt, NOTHING_USED if line.get("kind") == "void" else None, **line)

    return settled


def shown(desk: Client, entry: Entry) -> Any:
    response = desk.get(reverse("admin:billing_entry_change", args=[entry.pk]))
    assert response.status_code == 200
    return response


def words(response: Any) -> list[tuple[str, list[str]]]:
    """Of each candidate: its upstream, and the word for each of its attempts."""
    return [
        (way["upstream"], [each["word"] for each in way["outcomes"]])
        for way in response.context["routing"]["candidates"]
    ]


def test_every_candidate_has_its_outcome(desk: Client, tried: Any):
    routing = routed("azure", "openai", "groq", mistral="It is failing, and left alone.")
    tried(1, "azure", **REFUSED, routing=routing)
    page = shown(desk, tried(2, "openai"))
    assert words(page) == [
        ("azure", ["failed"]),
        ("openai", ["answered"]),
        ("groq", ["not tried"]),
    ]
    text = page.content.decode()
    assert "what this very call will cost least with" in text
    assert "502 upstream_refused" in text
    assert "It is failing, and left alone." in text
    assert "Status, unseen by the caller" in text


def test_what_was_repeated_has_both_attempts(desk: Client, tried: Any):
    tried(1, "azure", **REFUSED, routing=routed("azure", "openai"))
    tried(2, "openai", **RATE_LIMITED)
    page = shown(desk, tried(3, "azure"))
    assert words(page) == [("azure", ["failed", "answered"]), ("openai", ["failed"])]
    assert 'href="#attempt-3"' in page.content.decode()
    assert 'id="attempt-3"' in page.content.decode()


def test_what_could_not_even_be_sent_has_no_line(desk: Client, tried: Any):
    """Its quirks, a budget or its breaker stood in the way: the second attempt is the first line"""
    page = shown(desk, tried(2, "openai", routing=routed("azure", "openai")))
    assert words(page) == [("azure", ["not called"]), ("openai", ["answered"])]


def test_the_outcome_is_that_of_the_faster_one(desk: Client, tried: Any):
    """The second was asked as a hedge, and lost."""
    tried(1, "azure", routing=routed("azure", "openai"))
    page = shown(desk, tried(2, "openai", **HEDGED))
    assert words(page) == [("azure", ["answered"]), ("openai", ["hedged"])]
    figures = {figure["name"]: figure for figure in page.context["figures"]}
    assert (figures["Outcome"]["value"], figures["Outcome"]["note"]) == ("200", "2 attempts")
    assert figures["Tokens in → out"]["note"] == f"{MODEL} at azure"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({}, f"There was one way only: {MODEL} at openai."),
        (FAILED | {"kind": "orphan", "status": 0}, "the gateway died before it could note"),
        (FAILED | {"kind": "cached", "status": 200}, "came from the response cache"),
    ],
    ids=["one_way", "orphan", "cached"],
)
def test_where_nothing_was_decided_it_says_why(
    desk: Client, tried: Any, line: dict[str, Any], said: str
):
    assert said in shown(desk, tried(1, "openai", **line)).content.decode()


@pytest.mark.parametrize(
    ("line", "word", "colour"),
    [
        ({}, "answered", "success"),
        ({"status": 499, "error": "client_closed_request"}, "left", "warning"),
        (REFUSED, "failed", "danger"),
        (RATE_LIMITED, "failed", "warning"),
        (HEDGED, "hedged", "warning"),
        (FAILED | {"kind": "orphan", "status": 0}, "died", "danger"),
        (FAILED | {"kind": "cached", "status": 200}, "cached", "info"),
    ],
    ids=["answered", "left", "refused", "limited", "hedged", "died", "cached"],
)
def test_words_for_outcomes(tried: Any, line: dict[str, Any], word: str, colour: str):
    assert outcome(tried(1, "openai", **line))[:2] == (word, colour)


def test_whose_key_and_which_tier(desk: Client, tried: Any):
    text = shown(desk, tried(1, "openai", byok=True, service_tier="flex")).content.decode()
    assert "the provider bills the tenant" in text
    assert "<dd>flex</dd>" in text
    text = shown(desk, tried(2, "openai")).content.decode()
    assert "<dd>standard</dd>" in text


# The list.


def test_attempts_of_one_request_are_told_together(desk: Client, house: House, tried: Any):
    tried(1, "azure", **REFUSED)
    tried(2, "openai")
    alone = house.charge()
    text = desk.get(LIST).content.decode()
    assert "attempt 1 of 2" in text
    assert "attempt 2 of 2" in text
    assert f"{alone.pk}" in text
    assert text.count("attempt 1 of") == 1


@pytest.mark.parametrize(("query", "numbers"), [("first", [1]), ("again", [2]), ("", [2, 1])])
def test_what_failed_over_is_found(desk: Client, tried: Any, query: str, numbers: list[int]):
    tried(1, "azure", **REFUSED)
    tried(2, "openai")
    found = desk.get(LIST, {"attempt": query}).context["cl"].result_list
    assert [entry.attempt for entry in found] == numbers


def test_a_tenants_tab_tells_it_too(desk: Client, house: House, tried: Any):
    tried(1, "azure", **REFUSED)
    tried(2, "openai")
    page = desk.get(f"/admin/tenants/tenant/{house.tenant.pk}/change/")
    assert "attempt 2 of 2" in page.content.decode()
