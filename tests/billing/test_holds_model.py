"""Long random lives of the money statements, against a model in a few lines of Python."""

import random

import pytest
from django.db import connection

from billing.models import Entry, GatewayInstance, Hold
from tests.billing import ledger
from tests.billing.ledger import Account, line, window_of

STEPS = 120


class Life:
    """What Postgres is told, and what should come of it."""

    def __init__(self, cursor, chance, *, hard):
        self.cursor, self.chance = cursor, chance
        self.acme = Account("Acme", GatewayInstance.objects.create(host="here", pid=1))
        self.of_tenant = self.acme.budget(3_000, hard=hard)
        self.of_key = self.acme.budget(1_500, api_key=self.acme.api_key, hard=hard)
        self.of_project = self.acme.budget(500, project=self.acme.project, hard=False)
        self.hard = [each for each in (self.of_tenant, self.of_key) if hard]
        # By attempt: what is held, and what its lines come to. None is an unknown price.
        self.held, self.net = {}, {}
        self.in_project = set()

    def amount(self):
        return self.chance.choice([None, 0, 1, self.chance.randint(0, 400)])

    def some(self, attempts, most):
        return self.chance.sample(sorted(attempts), min(len(attempts), most))

    def posted_and_pending(self, among=None):
        def total(amounts):
            return sum(
                amount or 0 for each, amount in amounts.items() if among is None or each in among
            )

        held = {each: attempt["amount_pico"] for each, attempt in self.held.items()}
        return total(self.net), total(held)

    def verdict(self, wanted):
        if wanted == 0:
            return 0
        used = sum(self.posted_and_pending())
        full = [
            budget.id for budget in self.hard if wanted is None or used + wanted > budget.limit_pico
        ]
        return min(full, default=0)

    def hold(self):
        projects = [None, self.acme.project.id]
        batch = [
            self.acme.attempt(self.amount(), project_id=self.chance.choice(projects))
            for _ in range(self.chance.randint(1, 4))
        ]
        verdicts = ledger.hold(self.cursor, self.acme.instance, *batch)
        for attempt, verdict in zip(batch, verdicts, strict=True):
            assert verdict == self.verdict(attempt["amount_pico"])
            if verdict == 0:
                self.held[attempt["id"]] = attempt
                if attempt["project_id"] is not None:
                    self.in_project.add(attempt["id"])

    def settle(self):
        paid = {each: self.amount() for each in self.some(self.held, 3)}
        again = dict.fromkeys(self.some(self.net, 1), 399)
        lines = [line({"id": each}, amount) for each, amount in (paid | again).items()]
        assert {str(each) for each in ledger.settle(self.cursor, *lines)} == set(paid)
        self.net |= paid
        for each in paid:
            del self.held[each]

    def correct(self):
        bills = {each: self.amount() for each in self.some(self.net, 2)}
        lines = [line({"id": each}, amount) for each, amount in bills.items()]
        ledger.correct(self.cursor, *lines)
        assert ledger.correct(self.cursor, *lines) == []
        self.net |= {each: amount for each, amount in bills.items() if amount is not None}

    def sweep(self):
        most = self.chance.randint(1, 3)
        count = ledger.sweep(self.cursor, age="0 seconds", most=most)
        assert count == min(most, len(self.held))
        left = {str(each) for each in Hold.objects.values_list("id", flat=True)}
        for each in self.held.keys() - left:
            self.net[each] = self.held.pop(each)["estimate_pico"]

    def check(self):
        assert window_of(self.of_tenant) == self.posted_and_pending()
        assert window_of(self.of_key) == self.posted_and_pending()
        assert window_of(self.of_project) == self.posted_and_pending(self.in_project)


@pytest.mark.django_db
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("seed", range(3))
def test_it_works(seed, hard):
    chance = random.Random(seed)
    with connection.cursor() as cursor:
        life = Life(cursor, chance, hard=hard)
        for _ in range(STEPS):
            chance.choice([life.hold, life.hold, life.settle, life.correct, life.sweep])()
            life.check()
        assert ledger.out_of_balance(cursor) == []
    assert nets() == life.net


def nets():
    """What the lines of each attempt come to; None if none of them has an amount."""
    found = {}
    for entry in Entry.objects.order_by("posted"):
        attempt = str(entry.corrects or entry.id)
        before = found.get(attempt)
        known = [amount for amount in (before, entry.amount_pico) if amount is not None]
        found[attempt] = sum(known) if known else None
    return found
