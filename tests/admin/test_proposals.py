"""Proposed prices: seen by who may see prices, decided by who may change them, and once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from billing.models import Price, PriceProposal
from billing.proposals import propose
from tests.admin.conftest import House
from tests.billing.publishing import price, way

LIST = "/admin/billing/priceproposal/"
State = PriceProposal.State


@pytest.fixture
def proposals(house: House) -> dict[str, PriceProposal]:
    """By component. The house pays 2.5 for input, 1.25 for what is cached, and 10 for output."""
    made = propose(
        [
            way(
                price("input", "3"),
                price("cached_input", "0.3"),
                price("web_search", "10", per=1000),
                input="litellm says $4",
            )
        ]
    ).proposed
    return {each.component: each for each in made}


def page(proposal: PriceProposal, action: str = "change") -> str:
    return f"{LIST}{proposal.pk}/{action}/"


def decide(desk: Client, proposal: PriceProposal, action: str, **fields: Any) -> list[str]:
    """Sends the form of the page that asks, and gives what is said then."""
    address = page(proposal, action)
    asked = desk.get(address)
    seen = [row["id"] for row in asked.context["rows"]] if asked.status_code == 200 else []
    response = desk.post(address, {"seen": seen, **fields}, follow=True)
    return [str(message) for message in response.context["messages"]]


def text_of(desk: Client, address: str) -> str:
    response = desk.get(address)
    assert response.status_code == 200
    return response.content.decode()


# --- What is shown --------------------------------------------------------------------------------


def test_the_list_shows_old_new_and_change(desk: Client, proposals: dict[str, PriceProposal]):
    text = text_of(desk, LIST)
    for words in ("$2.50", "$3.00", "+20.0%", "\u221276.0%", "per 1,000", "litellm says $4"):
        assert words in text
    assert text.count('class="rs-leads"') == 1
    assert text.count('class="rs-follows"') == 2


def test_the_list_begins_with_open_ones_and_filters(
    desk: Client, proposals: dict[str, PriceProposal]
):
    decide(desk, proposals["input"], "reject")
    assert "litellm says" not in text_of(desk, LIST)
    assert "litellm says" in text_of(desk, LIST + "?state=rejected")
    assert "rs-leads" not in text_of(desk, LIST + "?upstream=azure")
    assert "rs-leads" in text_of(desk, LIST + "?upstream=openai")


def test_a_page_shows_all_components_side_by_side(
    desk: Client, proposals: dict[str, PriceProposal]
):
    text = text_of(desk, page(proposals["input"]))
    for words in ("$10.00", "no proposal", "$0.30", "this one", "Approve all 3 of this model"):
        assert words in text


def test_a_component_that_counts_as_another_says_so(desk: Client, house: House):
    [write] = propose([way(price("cache_write", "3"))]).proposed
    assert "none: charged as input" in text_of(desk, page(write))


@pytest.mark.parametrize(
    ("new", "words"),
    [("2.500000000001", "+under 0.1%"), ("25000", "+999,900.0%"), ("2.499999", "\u2212under")],
)
def test_the_change_is_told_as_it_is(desk: Client, house: House, new: str, words: str):
    propose([way(price("input", new))])
    assert words in text_of(desk, LIST)


def test_a_price_of_nothing_has_no_percentage(desk: Client, house: House):
    Price.objects.filter(component="input").update(usd=0)
    propose([way(price("input", "1"))])
    assert "was free" in text_of(desk, LIST)


def test_what_a_source_says_is_escaped(desk: Client, house: House):
    [made] = propose([way(price("input", "3"), input="<script>alert(1)</script>")]).proposed
    for address in (LIST, page(made), page(made, "approve")):
        assert "<script>alert" not in text_of(desk, address)


def test_the_list_asks_few_questions(
    desk: Client, proposals: dict[str, PriceProposal], django_assert_max_num_queries: Any
):
    with django_assert_max_num_queries(9):
        desk.get(LIST)
    with django_assert_max_num_queries(9):
        desk.get(page(proposals["input"]))


# --- Deciding -------------------------------------------------------------------------------------


def test_approving_changes_the_price_and_names_who(
    desk: Client, ada: User, house: House, proposals: dict[str, PriceProposal]
):
    assert decide(desk, proposals["input"], "approve") == ["1 decided."]
    proposal = PriceProposal.objects.get(pk=proposals["input"].pk)
    assert (proposal.state, proposal.decided_by) == (State.APPROVED, ada)
    assert proposal.price.usd == 3
    old = Price.objects.get(pk=house.prices["input"].pk)
    assert old.valid_to == proposal.price.valid_from
    assert PriceProposal.objects.filter(state=State.OPEN).count() == 2
    assert LogEntry.objects.get().change_message == "Approved."
    assert "Approved by ada" in text_of(desk, page(proposal))


def test_asking_changes_nothing(desk: Client, proposals: dict[str, PriceProposal]):
    for action in ("approve", "approve-all", "reject"):
        assert "Cancel" in text_of(desk, page(proposals["input"], action))
    assert PriceProposal.objects.filter(state=State.OPEN).count() == 3


def test_sending_it_twice_changes_it_once(desk: Client, proposals: dict[str, PriceProposal]):
    decide(desk, proposals["input"], "approve")
    assert decide(desk, proposals["input"], "approve") == ["It was decided already."]
    assert Price.objects.filter(component="input").count() == 2


def test_a_whole_model_is_approved_from_one_moment(
    desk: Client, proposals: dict[str, PriceProposal]
):
    assert decide(desk, proposals["input"], "approve-all") == ["3 decided."]
    moments = {each.price.valid_from for each in PriceProposal.objects.select_related("price")}
    assert len(moments) == 1


def test_what_was_not_seen_is_not_approved(desk: Client, proposals: dict[str, PriceProposal]):
    address = page(proposals["input"], "approve-all")
    desk.post(address, {"seen": [proposals["input"].pk, proposals["web_search"].pk]})
    proposals["cached_input"].refresh_from_db()
    assert proposals["cached_input"].state == State.OPEN
    assert PriceProposal.objects.filter(state=State.APPROVED).count() == 2


def test_another_models_proposals_cannot_be_slipped_in(
    desk: Client, proposals: dict[str, PriceProposal]
):
    [other] = propose([way(price("input", "9"), upstream="azure")]).proposed
    desk.post(page(proposals["input"], "approve-all"), {"seen": [other.pk, "x", "1' OR 1=1"]})
    assert not PriceProposal.objects.exclude(state=State.OPEN).exists()


def test_a_chosen_moment(desk: Client, proposals: dict[str, PriceProposal]):
    moment = timezone.now().replace(microsecond=0) + timedelta(days=3)
    decide(desk, proposals["input"], "approve", valid_from=f"{moment:%Y-%m-%d %H:%M:%S}")
    assert Price.objects.get(usd=3).valid_from == moment


@pytest.mark.parametrize("words", ["soon", "2026-13-01", "2020-01-01 00:00"])
def test_a_moment_that_makes_no_sense_changes_nothing(
    desk: Client, proposals: dict[str, PriceProposal], words: str
):
    desk.post(page(proposals["input"], "approve"), {"valid_from": words})
    proposals["input"].refresh_from_db()
    assert proposals["input"].state == State.OPEN
    assert Price.objects.filter(component="input").count() == 1


def test_a_price_that_has_changed_since_is_told(
    desk: Client, house: House, proposals: dict[str, PriceProposal]
):
    Price.objects.filter(pk=house.prices["input"].pk).update(usd=Decimal("2.6"))
    [said] = decide(desk, proposals["input"], "approve")
    assert "not the one that this was proposed for" in said
    assert Price.objects.get(component="input").usd == Decimal("2.6")


def test_rejecting_leaves_the_price(desk: Client, ada: User, proposals: dict[str, PriceProposal]):
    assert decide(desk, proposals["input"], "reject") == ["1 decided."]
    proposals["input"].refresh_from_db()
    assert (proposals["input"].state, proposals["input"].decided_by) == (State.REJECTED, ada)
    assert Price.objects.get(component="input").usd == Decimal("2.5")


def test_a_proposal_that_is_gone_leads_to_the_list(desk: Client, house: House):
    for action in ("change", "approve", "approve-all", "reject"):
        assert desk.get(f"{LIST}999/{action}/").url == LIST
        assert desk.get(f"{LIST}x/{action}/").url == LIST


# --- Who may --------------------------------------------------------------------------------------


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("trent", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    "permissions",
    [("view_price",), ("change_price",), ("view_price", "add_price")],
    ids=["view", "change", "add"],
)
@pytest.mark.parametrize("action", ["approve", "approve-all", "reject"])
def test_who_may_not_change_prices_decides_nothing(
    proposals: dict[str, PriceProposal], permissions: tuple[str, ...], action: str
):
    trent = staff(*permissions)
    address = page(proposals["input"], action)
    assert trent.get(address).status_code == 403
    assert trent.post(address, {"seen": [proposals["input"].pk]}).status_code == 403
    assert PriceProposal.objects.filter(state=State.OPEN).count() == 3


def test_who_may_see_prices_sees_proposals_without_buttons(proposals: dict[str, PriceProposal]):
    trent = staff("view_price")
    assert "Price proposals" in text_of(trent, "/admin/")
    assert "rs-leads" in text_of(trent, LIST)
    assert "/approve/" not in text_of(trent, page(proposals["input"]))


def test_who_may_change_prices_decides(proposals: dict[str, PriceProposal]):
    trent = staff("change_price", "add_price")
    assert "/approve/" in text_of(trent, page(proposals["input"]))
    assert decide(trent, proposals["input"], "approve") == ["1 decided."]


def test_strangers_see_nothing(proposals: dict[str, PriceProposal]):
    trent = staff("view_entry")
    for address in (LIST, page(proposals["input"])):
        assert trent.get(address).status_code == 403
        assert "/admin/login/" in Client().get(address).url
    assert "Price proposals" not in text_of(trent, "/admin/")


def test_deciding_needs_the_browsers_token(ada: User, proposals: dict[str, PriceProposal]):
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(ada)
    assert forged.post(page(proposals["input"], "approve")).status_code == 403
    assert PriceProposal.objects.filter(state=State.OPEN).count() == 3
