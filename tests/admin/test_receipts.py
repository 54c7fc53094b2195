"""A receipt's arithmetic gives what the ledger says, or shows that it does not."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing.admin.request_page import exact_usd
from billing.models import Entry, Price
from billing.receipts import attempts, receipt
from runestone.lib.ids import request_name, uuid7
from runestone.lib.usage import NOTHING_USED, Usage
from tests.admin.conftest import MODEL, UPSTREAM, House

MUCH = Usage(input_tokens=5424, cached_input_tokens=3254, output_tokens=593, reasoning_tokens=100)


def add_price(house: House, component: str, usd: str, **options: Any) -> Price:
    return Price.objects.create(
        upstream=UPSTREAM,
        model=MODEL,
        component=component,
        usd=Decimal(usd),
        valid_from=house.window.starts,
        **options,
    )


def page(desk: Client, entry: Entry) -> str:
    response = desk.get(reverse("admin:billing_entry_change", args=[entry.pk]))
    assert response.status_code == 200
    return response.content.decode()


def test_it_adds_up(house: House):
    entry = house.charge(MUCH)
    found = receipt(entry)
    assert found.is_right
    assert [(line.component, line.quantity, line.price.component) for line in found.lines] == [
        ("input", 2170, "input"),
        ("cached_input", 3254, "cached_input"),
        ("output", 493, "output"),
        ("reasoning", 100, "output"),
    ]
    assert found.exact == entry.amount_pico == 5_425_000_000 + 4_067_500_000 + 5_930_000_000


@pytest.mark.parametrize(("per", "tokens"), [(3, 1), (7, 5), (3, 2), (6, 3), (11, 100)])
def test_it_is_rounded_once_half_to_even(house: House, per: int, tokens: int):
    Price.objects.filter(component="input").update(usd=Decimal("0.000000000001"), per=per)
    entry = house.charge(Usage(input_tokens=tokens))
    found = receipt(entry)
    assert found.is_right
    assert found.exact == Fraction(tokens, per)
    assert found.computed_pico == round(Fraction(tokens, per))


def test_a_fee_for_each_request_is_a_line(house: House):
    add_price(house, "request", "0.01", per=1)
    found = receipt(house.charge())
    assert found.lines[-1].component == "request"
    assert found.lines[-1].amount == 10**10
    assert found.is_right


def test_a_tier_is_named(house: House, desk: Client):
    tier = add_price(house, "input", "5", context_from=200_000)
    entry = house.charge(Usage(input_tokens=200_000))
    assert [line.price for line in receipt(entry).lines] == [tier]
    assert "from 200,000 tokens" in page(desk, entry)


def test_a_price_closed_since_still_counts(house: House):
    entry = house.charge(MUCH)
    Price.objects.update(valid_to=entry.created)
    assert receipt(entry).is_right


def test_tokens_that_contradict_each_other_are_said(house: House, desk: Client):
    entry = house.charge(input_tokens=1, cached_input_tokens=2)
    assert "contradict each other" in page(desk, entry)


def test_a_wrong_amount_is_shown_as_wrong(house: House, desk: Client):
    entry = house.charge(MUCH, amount_pico=1)
    assert receipt(entry).is_right is False
    assert "not what its price rows give" in page(desk, entry)


def test_a_lost_price_row_is_said(house: House):
    entry = house.charge(MUCH)
    Price.objects.all().delete()
    assert receipt(entry).is_right is None
    assert "is gone" in receipt(entry).words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"amount_pico": None, "price_state": "unpriced"}, "Unknown is not free"),
        ({"amount_pico": 0, "kind": "void", "status": 502}, "nothing is charged"),
        ({"amount_pico": 5, "kind": "orphan", "status": 0}, "The gateway died"),
        ({"amount_pico": 0}, "Nothing was used"),
        ({"amount_pico": 0, "kind": "cached"}, "What it saved is unknown"),
        (
            {"amount_pico": 0, "kind": "cached", "saved_pico": 1_500_000},
            "would have cost $0.0000015.",
        ),
        ({"amount_pico": 5}, "stated by a reconciliation"),
    ],
)
def test_lines_without_arithmetic_say_why(
    house: House, desk: Client, line: dict[str, Any], words: str
):
    entry = house.charge(NOTHING_USED, **line, price_ids=[])
    assert words in receipt(entry).words
    assert receipt(entry).is_right is None
    assert words in page(desk, entry)


def test_a_correction_is_shown_with_the_net(house: House, desk: Client):
    original = house.charge(Usage(input_tokens=1000, output_tokens=100), price_state="estimated")
    correction = house.correct(original.pk, MUCH)
    assert correction.amount_pico == 15_422_500_000 - 3_500_000_000
    for entry in (correction, original):
        text = page(desk, entry)
        assert "$0.0154225" in text
        assert "$0.0119225" in text
        assert "The ledger says the same: $0.0154225" in text
    assert receipt(original).is_right
    assert receipt(correction).is_right


def test_a_correction_downwards_and_back_up_stays_right(house: House):
    original = house.charge(MUCH)
    down = house.correct(original.pk, NOTHING_USED, amount_pico=0, price_ids=[])
    assert down.amount_pico == -original.amount_pico
    assert receipt(down).words == "Nothing was used, so nothing is charged."
    up = house.correct(original.pk, MUCH)
    [attempt] = attempts(Entry.objects.filter(request_id=original.request_id))
    assert attempt.corrections == (down, up)
    assert attempt.receipt.is_right
    assert receipt(down).stated_pico == 0


def test_a_price_found_later_is_shown(house: House):
    entry = house.charge(MUCH, amount_pico=None, price_state="unpriced", price_ids=[])
    correction = house.correct(entry.pk, MUCH)
    assert receipt(entry).stated_pico is None
    assert receipt(correction).is_right


def test_all_attempts_of_a_request_are_on_its_page(
    house: House, desk: Client, django_assert_max_num_queries
):
    request = uuid7()
    failed = house.settle(
        house.hold(request=request),
        NOTHING_USED,
        kind="void",
        amount_pico=0,
        price_ids=[],
        status=429,
        error="upstream_rate_limit",
    )
    served = house.settle(house.hold(request=request, attempt=2, amount_pico=80 * 10**9), MUCH)
    house.hold(request=request, attempt=3, amount_pico=7 * 10**12)
    with django_assert_max_num_queries(7):
        text = page(desk, failed)
    assert request_name(request) in text
    assert "Attempt 1: gpt-4o at openai" in text
    assert "Attempt 2: gpt-4o at openai" in text
    assert "$0.08 held → $0.0154225 settled, $0.0645775 released" in text
    assert "upstream_rate_limit" in text
    assert "Another attempt is running, with $7.00 held for it" in text
    assert page(desk, served).count("Attempt ") == text.count("Attempt ")


def test_an_unknown_line_leads_back(desk: Client, house: House):
    response = desk.get(reverse("admin:billing_entry_change", args=[uuid7()]), follow=True)
    assert "no such line" in response.content.decode()
    assert desk.get("/admin/billing/entry/nonsense/change/").status_code == 302


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (Fraction(0), "$0.00"),
        (Fraction(1), "$0.000000000001"),
        (Fraction(1, 2), "$0.0000000000005"),
        (Fraction(5, 4), "$0.00000000000125"),
        (Fraction(10**12), "$1.00"),
        (Fraction(-3, 2), "-$0.0000000000015"),
        (Fraction(4, 3), "$0.000000000001 + 1/3 p$"),
    ],
)
def test_exact_amounts(pico: Fraction, text: str):
    assert exact_usd(pico) == text
