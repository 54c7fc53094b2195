"""A person's decision on proposed prices: the only way in which a proposal becomes a price."""

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from billing.models import Price, PriceProposal

State = PriceProposal.State


class CannotDecide(Exception):
    """Why not, in words for whoever asked."""


def approve(
    proposals: Iterable[int], by: User, valid_from: datetime | None = None
) -> list[PriceProposal]:
    """Puts the proposed prices in force from `valid_from` (None: now) on; all of them or none.

    Gives those that this call has approved; one that is approved already stays as it is. Raises
    CannotDecide if one is rejected or superseded, if our price has changed since it was made, or
    if `valid_from` has passed: ledger lines have been settled at the prices of then.
    """
    try:
        with transaction.atomic():
            locked = _locked(proposals)
            now = timezone.now()
            if valid_from is not None and valid_from < now:
                raise CannotDecide("That moment has passed; a price begins now or later.")
            for proposal in locked:
                _refuse_unless(proposal, State.APPROVED)
            to_approve = [proposal for proposal in locked if proposal.state == State.OPEN]
            for proposal in to_approve:
                proposal.price = _put_in_force(proposal, valid_from or now)
                _decide(proposal, State.APPROVED, by, now)
            return to_approve
    except IntegrityError:
        # The database refused an overlap: a row was added in the same moment.
        raise CannotDecide("Another price was added in the same moment. Look again.") from None


@transaction.atomic
def reject(proposals: Iterable[int], by: User) -> list[PriceProposal]:
    """Gives those that this call has rejected. Raises CannotDecide if one is decided otherwise."""
    locked = _locked(proposals)
    for proposal in locked:
        _refuse_unless(proposal, State.REJECTED)
    to_reject = [proposal for proposal in locked if proposal.state == State.OPEN]
    for proposal in to_reject:
        _decide(proposal, State.REJECTED, by, timezone.now())
    return to_reject


def _locked(ids: Iterable[int]) -> list[PriceProposal]:
    """In order of id, as every writer locks them."""
    return list(PriceProposal.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk"))


def _refuse_unless(proposal: PriceProposal, decided: State) -> None:
    if proposal.state not in (State.OPEN, decided):
        raise CannotDecide(f"{proposal} is {proposal.state}. Look again.")


def _decide(proposal: PriceProposal, state: State, by: User, now: datetime) -> None:
    proposal.state, proposal.decided_by, proposal.decided_at = state, by, now
    proposal.save(update_fields=["state", "decided_by", "decided_at", "price"])


def _put_in_force(proposal: PriceProposal, moment: datetime) -> Price:
    """Ends the row that is valid at `moment`, and opens the new one up to where that would end."""
    rows = Price.objects.select_for_update().filter(
        upstream=proposal.upstream, model=proposal.model, **proposal.key._asdict()
    )
    present = rows.filter(Q(valid_to=None) | Q(valid_to__gt=moment), valid_from__lte=moment).first()
    if not proposal.is_for(present):
        raise CannotDecide(
            f"The price of {proposal} at that moment is not the one that this was proposed for. "
            "Run propose_prices again."
        )
    if present is None:
        later = rows.filter(valid_from__gt=moment).order_by("valid_from").first()
        ends = later.valid_from if later else None
    elif present.valid_from == moment:
        raise CannotDecide(f"A price of {proposal} begins at that very moment.")
    else:
        ends, present.valid_to = present.valid_to, moment
        present.save(update_fields=["valid_to"])
    return Price.objects.create(
        upstream=proposal.upstream,
        model=proposal.model,
        **proposal.key._asdict(),
        usd=proposal.proposed_usd,
        per=proposal.per,
        valid_from=moment,
        valid_to=ends,
        source=proposal.source,
    )
