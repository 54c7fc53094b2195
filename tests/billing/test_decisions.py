"""A decision is made once, by somebody, and for the price that was proposed for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from billing.decisions import CannotDecide, approve, reject
from billing.models import Price, PriceProposal
from billing.proposals import propose
from tests.billing.publishing import MODEL, price, way

State = PriceProposal.State
OLD, NEW = Decimal("2.5"), Decimal(3)


def ours(usd: Decimal = OLD, upstream: str = "openai", **more: Any) -> Price:
    begun = timezone.now() - timedelta(days=1)
    names = {"upstream": upstream, "model": MODEL, "component": "input", "valid_from": begun}
    return Price.objects.create(**names | {"usd": usd} | more)


def proposed(usd: str = "3", upstream: str = "openai", **more: Any) -> PriceProposal:
    [proposal] = propose([way(price("input", usd, **more), upstream=upstream)]).proposed
    return proposal


def spans(upstream: str = "openai") -> list[tuple[Decimal, Any, Any]]:
    rows = Price.objects.filter(upstream=upstream).order_by("valid_from")
    return [(row.usd, row.valid_from, row.valid_to) for row in rows]


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada")


# --- Approving ------------------------------------------------------------------------------------


def test_approving_ends_the_old_price_where_the_new_one_begins(ada: User):
    old = ours()
    before = timezone.now()
    [approved] = approve([proposed().pk], ada)
    approved.refresh_from_db()
    new = approved.price
    old.refresh_from_db()
    assert before <= new.valid_from <= timezone.now()
    assert (old.valid_to, new.valid_to, new.usd) == (new.valid_from, None, NEW)
    assert new.source == "a list, read 2026-11-21"
    assert (approved.state, approved.decided_by) == (State.APPROVED, ada)
    assert approved.decided_at is not None


def test_a_first_price_just_begins(ada: User):
    approve([proposed(above=272_000, service_tier="flex").pk], ada)
    row = Price.objects.get()
    assert (row.context_from, row.service_tier, row.valid_to) == (272_001, "flex", None)


def test_other_tiers_stay(ada: User):
    flex = ours(Decimal(1), service_tier="flex")
    step = ours(Decimal(5), context_from=200_001)
    ours()
    approve([proposed().pk], ada)
    for row in (flex, step):
        row.refresh_from_db()
        assert row.valid_to is None


def test_a_chosen_moment(ada: User):
    moment = timezone.now() + timedelta(days=3)
    old = ours()
    approve([proposed().pk], ada, moment)
    assert spans() == [(OLD, old.valid_from, moment), (NEW, moment, None)]


def test_a_planned_price_stays_planned(ada: User):
    planned = timezone.now() + timedelta(days=9)
    ours(valid_to=planned)
    ours(Decimal(7), valid_from=planned)
    approve([proposed().pk], ada)
    assert [usd for usd, _, _ in spans()] == [OLD, NEW, Decimal(7)]
    assert spans()[1][2] == planned


def test_a_first_price_ends_where_a_planned_one_begins(ada: User):
    planned = timezone.now() + timedelta(days=9)
    ours(Decimal(7), valid_from=planned)
    approve([proposed().pk], ada)
    assert spans()[0][2] == planned


def test_twice_is_once(ada: User):
    ours()
    proposal = proposed()
    assert len(approve([proposal.pk], ada)) == 1
    before = spans()
    assert approve([proposal.pk], User.objects.create_user("bob")) == []
    assert spans() == before
    proposal.refresh_from_db()
    assert proposal.decided_by == ada


# --- What stands against it -----------------------------------------------------------------------


def change_it(old: Price) -> None:
    Price.objects.filter(pk=old.pk).update(usd=Decimal("2.6"))


def end_it(old: Price) -> None:
    Price.objects.filter(pk=old.pk).update(valid_to=timezone.now())


def delete_it(old: Price) -> None:
    old.delete()


@pytest.mark.parametrize("meanwhile", [change_it, end_it, delete_it])
def test_a_price_that_has_changed_since_is_not_overwritten(
    ada: User, meanwhile: Callable[[Price], None]
):
    old = ours()
    proposal = proposed()
    meanwhile(old)
    before = spans()
    with pytest.raises(CannotDecide, match="not the one that this was proposed for"):
        approve([proposal.pk], ada)
    assert spans() == before
    proposal.refresh_from_db()
    assert proposal.state == State.OPEN


def test_a_first_price_that_somebody_else_has_added_is_not_overwritten(ada: User):
    proposal = proposed()
    ours()
    with pytest.raises(CannotDecide):
        approve([proposal.pk], ada)
    assert [usd for usd, _, _ in spans()] == [OLD]


def test_the_past_is_settled(ada: User):
    ours()
    with pytest.raises(CannotDecide, match="has passed"):
        approve([proposed().pk], ada, timezone.now() - timedelta(seconds=1))


def test_no_price_is_shorter_than_a_moment(ada: User):
    planned = timezone.now() + timedelta(days=9)
    ours(valid_to=planned)
    ours(valid_from=planned)
    with pytest.raises(CannotDecide, match="very moment"):
        approve([proposed().pk], ada, planned)


def test_all_or_none(ada: User):
    output = Price.objects.create(upstream="openai", model=MODEL, component="output", usd=10)
    made = propose([way(price("input", "3"), price("output", "12"))]).proposed
    Price.objects.filter(pk=output.pk).update(usd=11)
    with pytest.raises(CannotDecide):
        approve([each.pk for each in made], ada)
    assert set(PriceProposal.objects.values_list("state", flat=True)) == {State.OPEN}
    assert Price.objects.count() == 1


def test_rejecting_leaves_the_price_and_is_final(ada: User):
    ours()
    proposal = proposed()
    assert len(reject([proposal.pk], ada)) == 1
    assert reject([proposal.pk], ada) == []
    with pytest.raises(CannotDecide, match="rejected"):
        approve([proposal.pk], ada)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.decided_by) == (State.REJECTED, ada)
    assert [usd for usd, _, _ in spans()] == [OLD]


def test_what_is_approved_or_superseded_cannot_be_rejected(ada: User):
    first = proposed()
    second = proposed("4")
    with pytest.raises(CannotDecide, match="superseded"):
        reject([first.pk], ada)
    approve([second.pk], ada)
    with pytest.raises(CannotDecide, match="approved"):
        reject([second.pk], ada)


# --- At once --------------------------------------------------------------------------------------


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each gives or raises, all begun together, each on a connection of its own."""
    barrier = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return act()
        except CannotDecide as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(run, acts))


@pytest.fixture
def people(live: str) -> list[User]:
    return [User.objects.create_user(f"u-{uuid4().hex[:12]}") for _ in range(8)]


def test_of_many_who_approve_at_once_one_has_done_it(people: list[User]):
    upstream = f"up-{uuid4().hex[:12]}"
    ours(upstream=upstream)
    proposal = proposed(upstream=upstream)
    told = at_once(*(lambda by=by: approve([proposal.pk], by) for by in people))
    assert sorted(len(each) for each in told) == [0] * 7 + [1]
    assert [usd for usd, _, _ in spans(upstream)] == [OLD, NEW]
    [done] = [by for by, each in zip(people, told, strict=True) if each]
    proposal.refresh_from_db()
    assert proposal.decided_by == done


def test_who_approves_and_who_rejects_at_once_do_not_both_succeed(people: list[User]):
    for _ in range(5):
        upstream = f"up-{uuid4().hex[:12]}"
        ours(upstream=upstream)
        proposal = proposed(upstream=upstream)
        told = at_once(
            lambda pk=proposal.pk: approve([pk], people[0]),
            lambda pk=proposal.pk: reject([pk], people[1]),
        )
        assert [type(each) for each in told].count(CannotDecide) == 1
        proposal.refresh_from_db()
        assert (proposal.state == State.APPROVED) == (len(spans(upstream)) == 2)


def test_runs_at_once_propose_once(people: list[User]):
    upstream = f"up-{uuid4().hex[:12]}"
    ways = [way(price("input", "3"), price("output", "9"), upstream=upstream)]
    told = at_once(*(lambda: propose(ways) for _ in range(6)))
    assert sorted(len(outcome.proposed) for outcome in told) == [0] * 5 + [2]
    assert PriceProposal.objects.filter(upstream=upstream).count() == 2
