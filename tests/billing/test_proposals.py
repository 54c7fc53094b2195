"""Published prices become proposals; no price changes, and nobody is asked the same twice."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.utils import timezone

from billing.decisions import reject
from billing.models import Price, PriceProposal
from billing.proposals import propose
from tests.billing.publishing import MODEL, UPSTREAM, price, way

State = PriceProposal.State
pytestmark = pytest.mark.django_db


def ours(component: str, usd: str, **more: object) -> Price:
    names = {"upstream": UPSTREAM, "model": MODEL, "component": component}
    return Price.objects.create(**names | {"usd": Decimal(usd)} | more)


def proposals(state: str = State.OPEN) -> dict[tuple[str, int, str], tuple[str | None, str]]:
    """Ours and the proposed one, by what it is the price of."""
    return {
        tuple(each.key): (
            None if each.present_usd is None else f"{each.present_usd.normalize():f}",
            f"{each.proposed_usd.normalize():f}",
        )
        for each in PriceProposal.objects.filter(state=state)
    }


def test_what_differs_is_proposed_and_nothing_changes():
    kept = ours("input", "2.5")
    ours("output", "10")
    outcome = propose([way(price("input", "3"), price("output", "10"), price("cached_input", "1"))])
    assert proposals() == {
        ("input", 0, ""): ("2.5", "3"),
        ("cached_input", 0, ""): (None, "1"),
    }
    assert (len(outcome.proposed), outcome.agreeing) == (2, 1)
    kept.refresh_from_db()
    assert (kept.usd, kept.valid_to, Price.objects.count()) == (Decimal("2.5"), None, 2)


def test_a_proposal_tells_its_source_and_its_doubts():
    propose([way(price("input", "3"), price("input", "6", above=9), input="litellm says $4")])
    standard, step = PriceProposal.objects.order_by("context_from")
    assert (standard.source, standard.note) == ("a list, read 2026-11-21", "litellm says $4")
    assert step.note == ""


def test_the_same_price_for_another_number_of_units_agrees():
    ours("request", "0.01", per=1)
    outcome = propose([way(price("request", "10", per=1000))])
    assert (outcome.agreeing, proposals()) == (1, {})


@pytest.mark.parametrize("published", ["0.150000000001", "0.149999999999"])
def test_the_last_of_twelve_decimals_counts(published: str):
    ours("input", "0.15")
    propose([way(price("input", published))])
    assert proposals() == {("input", 0, ""): ("0.15", published)}


def test_tiers_are_compared_each_with_its_own():
    ours("input", "4")
    ours("input", "9", context_from=272_001)
    ours("input", "2", service_tier="flex")
    outcome = propose(
        [
            way(
                price("input", "4"),
                price("input", "8", above=272_000),
                price("input", "2", service_tier="flex"),
                price("input", "8", service_tier="priority"),
            )
        ]
    )
    assert outcome.agreeing == 2
    assert proposals() == {
        ("input", 272_001, ""): ("9", "8"),
        ("input", 0, "priority"): (None, "8"),
    }


def test_a_new_tier_begins_with_the_next_token_and_an_old_one_stays_where_it_is():
    ours("input", "9", context_from=200_000)
    propose([way(price("input", "8", above=200_000), price("output", "30", above=200_000))])
    assert proposals() == {
        ("input", 200_000, ""): ("9", "8"),
        ("output", 200_001, ""): (None, "30"),
    }


def test_past_and_future_prices_are_not_ours_now():
    now = timezone.now()
    ours("input", "1", valid_from=now - timedelta(days=2), valid_to=now - timedelta(days=1))
    ours("input", "3", valid_from=now + timedelta(days=1))
    propose([way(price("input", "3"))])
    assert proposals() == {("input", 0, ""): (None, "3")}


def test_prices_that_only_we_have_are_told():
    own = ours("reasoning", "7")
    outcome = propose([way(price("input", "1"))])
    assert outcome.only_ours == [own]


# --- Again ----------------------------------------------------------------------------------------


def test_a_second_run_proposes_nothing_new():
    propose([way(price("input", "3"))])
    outcome = propose([way(price("input", "3"))])
    assert (outcome.proposed, outcome.waiting) == ([], 1)
    assert PriceProposal.objects.count() == 1


def test_a_newer_price_supersedes_what_waits():
    propose([way(price("input", "3"))])
    outcome = propose([way(price("input", "4"))])
    assert (len(outcome.proposed), outcome.superseded) == (1, 1)
    assert proposals() == {("input", 0, ""): (None, "4")}
    old = PriceProposal.objects.get(state=State.SUPERSEDED)
    assert (old.decided_by, old.decided_at is None) == (None, False)


def test_what_has_become_ours_supersedes_what_waits():
    propose([way(price("input", "3"))])
    ours("input", "3")
    outcome = propose([way(price("input", "3"))])
    assert (outcome.agreeing, outcome.superseded, proposals()) == (1, 1, {})


def test_a_change_of_ours_supersedes_what_waits_and_asks_anew():
    propose([way(price("input", "3"))])
    ours("input", "2")
    propose([way(price("input", "3"))])
    assert proposals() == {("input", 0, ""): ("2", "3")}


def test_another_source_that_knows_less_supersedes_nothing_that_is_still_true():
    propose([way(price("input", "3"), price("input", "1.5", service_tier="flex"))])
    propose([way(price("input", "3"))])
    assert len(proposals()) == 2
    ours("input", "2", service_tier="flex")
    propose([way(price("input", "3"))])
    assert len(proposals()) == 1


def test_what_was_rejected_is_not_asked_again_until_something_moves():
    ada = User.objects.create_user("ada")
    propose([way(price("input", "3"))])
    reject([PriceProposal.objects.get().pk], ada)
    outcome = propose([way(price("input", "3"))])
    assert (outcome.proposed, outcome.rejected) == ([], 1)
    ours("input", "2")
    propose([way(price("input", "3"))])
    assert proposals() == {("input", 0, ""): ("2", "3")}


def test_upstreams_are_apart():
    ours("input", "3")
    propose([way(price("input", "3")), way(price("input", "3"), upstream="azure")])
    assert PriceProposal.objects.get().upstream == "azure"


# --- What the database refuses --------------------------------------------------------------------

ROW = {"upstream": "u", "model": "m", "component": "input", "proposed_usd": 1}


@pytest.mark.parametrize(
    "fault",
    [
        {"proposed_usd": 0},
        {"proposed_usd": -1},
        {"present_usd": 1},
        {"present_per": 1},
        {"present_usd": -1, "present_per": 1},
        {"state": State.APPROVED},
        {"state": State.REJECTED, "decided_at": timezone.now()},
        {"state": State.SUPERSEDED},
        {"decided_at": timezone.now()},
    ],
    ids=["free", "negative", "no per", "no usd", "present", "nobody", "no one", "no time", "open"],
)
def test_a_proposal_that_makes_no_sense_is_refused(fault: dict[str, object]):
    with pytest.raises(IntegrityError):
        PriceProposal.objects.create(**ROW | fault)


def test_two_open_proposals_of_one_price_are_refused():
    PriceProposal.objects.create(**ROW)
    with pytest.raises(IntegrityError):
        PriceProposal.objects.create(**ROW | {"proposed_usd": 2})
