"""Long random lives of the money statements, against a model in a few lines of Python."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from billing.models import BudgetRaise, Entry, GatewayInstance, Hold, Price
from billing.verify import verify
from tests.billing import ledger
from tests.billing.ledger import Account, line, open_window, window_of

STEPS = 120
MODELS = ("m", "other")
END_USERS = (None, "ann", "bob")


class Life:
    """What Postgres is told, and what should come of it."""

    def __init__(self, cursor, chance, *, hard):
        self.cursor, self.chance = cursor, chance
        self.acme = acme = Account("Acme", GatewayInstance.objects.create(host="here", pid=1))
        self.by = User.objects.create(username="ada")
        # A pico-dollar a token, so that every amount can be recomputed.
        self.prices = {
            model: Price.objects.create(
                upstream="nobody", model=model, component="input", usd=Decimal("1e-12"), per=1
            ).id
            for model in MODELS
        }
        self.budgets = [
            acme.budget(3_000, hard=hard),
            acme.budget(1_500, api_key=acme.api_key, hard=hard),
            acme.budget(500, project=acme.project, hard=False),
            acme.budget(1_000, model="other", hard=hard),
            acme.budget(800, per_end_user=True, hard=hard),
            acme.budget(200, model="m", project=acme.project, per_end_user=True, hard=hard),
        ]
        for budget in self.budgets:
            if budget.per_end_user:
                for end_user in filter(None, END_USERS):
                    open_window(budget, end_user)
        self.raised = dict.fromkeys((each.id for each in self.budgets), 0)
        # By attempt: what was asked, what is held, and what its lines come to. None is an unknown
        # price.
        self.asked, self.held, self.net = {}, {}, {}

    def amount(self):
        return self.chance.choice([None, 0, 1, self.chance.randint(0, 400)])

    def some(self, attempts, most):
        return self.chance.sample(sorted(attempts), min(len(attempts), most))

    def posted_and_pending(self, budget, end_user):
        def total(amounts):
            return sum(
                amount or 0
                for each, amount in amounts.items()
                if bucket(budget, self.asked[each]) == end_user
            )

        held = {each: attempt["amount_pico"] for each, attempt in self.held.items()}
        return total(self.net), total(held)

    def verdict(self, attempt):
        wanted = attempt["amount_pico"]
        full = []
        for budget in self.budgets:
            end_user = bucket(budget, attempt)
            if end_user is None or not budget.hard or wanted == 0:
                continue
            used = sum(self.posted_and_pending(budget, end_user))
            limit = budget.limit_pico + self.raised[budget.id]
            if wanted is None or used + wanted > limit:
                full.append(budget.id)
        return min(full, default=0)

    def hold(self):
        batch = [
            self.acme.attempt(
                self.amount(),
                project_id=self.chance.choice([None, self.acme.project.id]),
                model=self.chance.choice(MODELS),
                end_user=self.chance.choice(END_USERS),
            )
            for _ in range(self.chance.randint(1, 4))
        ]
        verdicts = ledger.hold(self.cursor, self.acme.instance, *batch)
        for attempt, verdict in zip(batch, verdicts, strict=True):
            assert verdict == self.verdict(attempt)
            if verdict == 0:
                self.held[attempt["id"]] = self.asked[attempt["id"]] = attempt

    def priced(self, attempt, amount):
        if not amount:
            return line({"id": attempt}, amount)
        price = self.prices[self.asked[attempt]["model"]]
        return line({"id": attempt}, amount, input_tokens=amount, price_ids=[price])

    def settle(self):
        paid = {each: self.amount() for each in self.some(self.held, 3)}
        again = dict.fromkeys(self.some(self.net, 1), 399)
        lines = [self.priced(each, amount) for each, amount in (paid | again).items()]
        assert {str(each) for each in ledger.settle(self.cursor, *lines)} == set(paid)
        self.net |= paid
        for each in paid:
            del self.held[each]

    def correct(self):
        bills = {each: self.amount() for each in self.some(self.net, 2)}
        lines = [self.priced(each, amount) for each, amount in bills.items()]
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

    def raise_or_let_fall(self):
        budget, now = self.chance.choice(self.budgets), timezone.now()
        if self.raised[budget.id]:
            budget.raises.filter(ends__gt=now).update(ends=now)
            self.raised[budget.id] = 0
        else:
            extra = self.raised[budget.id] = self.chance.randint(1, 1_000)
            starts, ends = now - timedelta(hours=1), now + timedelta(hours=1)
            BudgetRaise.objects.create(
                budget=budget, extra_pico=extra, starts=starts, ends=ends, reason="x", by=self.by
            )

    def check(self):
        for budget in self.budgets:
            for window in budget.windows.all():
                found = window_of(budget, window.end_user)
                assert found == self.posted_and_pending(budget, window.end_user)


def bucket(budget, attempt):
    """Whose window of `budget` the attempt counts in; None if it does not count at all."""
    if budget.project_id not in (None, attempt["project_id"]):
        return None
    if budget.model not in ("", attempt["model"]):
        return None
    return (attempt["end_user"] or "") if budget.per_end_user else ""


@pytest.mark.django_db
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("seed", range(3))
def test_it_works(seed, hard):
    chance = random.Random(seed)
    with connection.cursor() as cursor:
        life = Life(cursor, chance, hard=hard)
        steps = [
            life.hold, life.hold, life.hold, life.settle, life.correct, life.sweep,
            life.raise_or_let_fall,
        ]  # fmt: skip
        for _ in range(STEPS):
            chance.choice(steps)()
            life.check()
        assert ledger.out_of_balance(cursor) == []
    assert [found for each in verify().checks for found in each.findings if not found.reason] == []
    assert nets() == life.net
    assert ends_told() == {each: life.asked[each]["end_user"] for each in life.net}


def nets():
    """What the lines of each attempt come to; None if none of them has an amount."""
    found = {}
    for entry in Entry.objects.order_by("posted"):
        attempt = str(entry.corrects or entry.id)
        before = found.get(attempt)
        known = [amount for amount in (before, entry.amount_pico) if amount is not None]
        found[attempt] = sum(known) if known else None
    return found


def ends_told():
    """Whom each attempt was made for, by its lines; corrections say the same as their original."""
    told = {
        (str(entry.corrects or entry.id), entry.end_user) for entry in Entry.objects.order_by("id")
    }
    assert len({attempt for attempt, _ in told}) == len(told)
    return dict(told)
