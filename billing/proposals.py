"""Published prices against ours: where they differ, a proposal; never a price.

A proposal waits until a person decides it (`billing/decisions.py`), or until it is no longer true.
What was rejected is not proposed again while neither our price nor the published one has moved.
"""

from collections.abc import Iterable

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from msgspec import Struct, field

from billing.models import Price, PriceKey, PriceProposal, unit_usd
from runestone.lib.published import PublishedModel, PublishedPrice

State = PriceProposal.State
# Two runs at once would both propose. Postgres keeps such single numbers apart from the pairs that
# gateways lock.
_ONE_RUN = 7_301_466
_SOURCE_CHARACTERS_MAX = 200


class Way(Struct, frozen=True):
    """A model at an upstream, by the names that its prices have, and what is published of it."""

    upstream: str
    model: str
    published: PublishedModel


class Outcome(Struct):
    proposed: list[PriceProposal] = field(default_factory=list)
    # Published prices that are ours already, that wait as proposals, or were rejected before.
    agreeing: int = 0
    waiting: int = 0
    rejected: int = 0
    # Proposals that had become untrue.
    superseded: int = 0
    # Prices of ours that the source does not have.
    only_ours: list[Price] = field(default_factory=list)


@transaction.atomic
def propose(ways: Iterable[Way]) -> Outcome:
    """Compares every way's prices that are valid now, and writes proposals."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_RUN])
    outcome = Outcome()
    for way in ways:
        _Comparison(way, outcome).write()
    return outcome


class _Comparison:
    """One way's published prices beside its rows and its proposals."""

    def __init__(self, way: Way, outcome: Outcome) -> None:
        self._way = way
        self._outcome = outcome
        names = {"upstream": way.upstream, "model": way.model}
        now = timezone.now()
        valid = Q(valid_to=None) | Q(valid_to__gt=now)
        prices = Price.objects.filter(valid, valid_from__lte=now, **names)
        proposals = PriceProposal.objects.filter(**names).order_by("pk").select_for_update()
        self._present = {price.key: price for price in prices}
        self._open = {each.key: each for each in proposals.filter(state=State.OPEN)}
        # The latest of each key comes last, and so stays.
        rejected = proposals.filter(state=State.REJECTED)
        self._rejected = {each.key: each for each in rejected}

    def write(self) -> None:
        published = {self._key(price): price for price in self._way.published.prices}
        for key, price in published.items():
            self._compare(key, price)
        for key, proposal in self._open.items():
            # Another source may have told what this one does not.
            if key not in published and not proposal.is_for(self._present.get(key)):
                self._supersede(proposal)
        self._outcome.only_ours += [
            price for key, price in self._present.items() if key not in published
        ]

    def _key(self, price: PublishedPrice) -> PriceKey:
        """A tier above so many tokens begins with the next one, unless our row takes it in."""
        key = PriceKey(price.component.value, price.above, price.service_tier)
        if not price.above or key in self._present:
            return key
        return key._replace(context_from=price.above + 1)

    def _compare(self, key: PriceKey, price: PublishedPrice) -> None:
        present = self._present.get(key)
        waiting = self._open.get(key)
        if present and unit_usd(present.usd, present.per) == unit_usd(price.usd, price.per):
            self._outcome.agreeing += 1
            if waiting:
                self._supersede(waiting)
        elif waiting and _says(waiting, price, present):
            self._outcome.waiting += 1
        else:
            if waiting:
                self._supersede(waiting)
            self._propose(key, price, present)

    def _propose(self, key: PriceKey, price: PublishedPrice, present: Price | None) -> None:
        before = self._rejected.get(key)
        if before and _says(before, price, present):
            self._outcome.rejected += 1
            return
        published = self._way.published
        is_standard = not key.context_from and not key.service_tier
        proposal = PriceProposal.objects.create(
            upstream=self._way.upstream,
            model=self._way.model,
            **key._asdict(),
            present_usd=present.usd if present else None,
            present_per=present.per if present else None,
            proposed_usd=price.usd,
            per=price.per,
            source=published.origin[:_SOURCE_CHARACTERS_MAX],
            note=published.doubts.get(price.component, "") if is_standard else "",
        )
        self._outcome.proposed.append(proposal)

    def _supersede(self, proposal: PriceProposal) -> None:
        proposal.state = State.SUPERSEDED
        proposal.decided_at = timezone.now()
        proposal.save(update_fields=["state", "decided_at"])
        self._outcome.superseded += 1


def _says(proposal: PriceProposal, price: PublishedPrice, present: Price | None) -> bool:
    """Whether it proposes this for what is ours now."""
    proposed = unit_usd(proposal.proposed_usd, proposal.per)
    return proposal.is_for(present) and proposed == unit_usd(price.usd, price.per)
