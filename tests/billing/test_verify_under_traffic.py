"""Verifying while money moves: one snapshot, so nothing that is on its way looks like a fault."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest
from django.db import DatabaseError
from django.utils import timezone

from billing import rollups, sweeper
from billing.invariants import CHECKS, Scope
from billing.models import Entry, GatewayInstance, Price
from billing.verify import judge, snapshot, verify
from tests.billing import ledger
from tests.billing.ledger import Account, line

GATEWAYS = 3
PROOFS = 12


class Traffic:
    """Gateways that hold, settle, correct and give up calls of one tenant until told to stop."""

    def __init__(self, url):
        self.url = url
        self.instance = GatewayInstance.objects.create(host="busy", pid=1)
        self.account = Account("Busy", self.instance)
        self.account.budget(20_000)
        self.account.budget(10_000, api_key=self.account.api_key)
        self.upstream = self.account.tenant.slug
        self.price = Price.objects.create(
            upstream=self.upstream, model="m", component="input", usd=Decimal("1e-12"), per=1
        )
        self.is_over = threading.Event()

    def attempt(self, amount):
        return self.account.attempt(amount, upstream=self.upstream)

    def priced(self, attempt, tokens):
        named = {"input_tokens": tokens, "price_ids": [self.price.id]} if tokens else {}
        return line(attempt, tokens, **named)

    def drive(self, seed):
        chance = random.Random(seed)
        with psycopg.connect(self.url, autocommit=True) as gateway:
            cursor = gateway.cursor()
            while not self.is_over.is_set():
                asked = [self.attempt(chance.randint(0, 200)) for _ in range(4)]
                verdicts = ledger.hold(cursor, self.instance, *asked)
                held = [each for each, verdict in zip(asked, verdicts, strict=True) if not verdict]
                lines = [self.priced(each, chance.randint(0, each["amount_pico"])) for each in held]
                ledger.settle(cursor, *lines)
                ledger.settle(cursor, *lines[:1])
                # Down to little, so that the budgets never fill up for good.
                ledger.correct(
                    cursor, *(self.priced(each, chance.randint(0, 1)) for each in held[1:])
                )


def test_it_never_cries_wolf(live):
    # Other tests leave holds of gateways that never were.
    sweeper.sweep()
    began = timezone.now()
    traffic = Traffic(live)
    with ThreadPoolExecutor(GATEWAYS) as gateways:
        driving = [gateways.submit(traffic.drive, seed) for seed in range(GATEWAYS)]
        try:
            told = []
            for _ in range(PROOFS):
                rollups.fold()
                told.append(verify(began))
        finally:
            traffic.is_over.set()
        for each in driving:
            each.result()
    lines = [report.lines for report in told]
    assert lines[-1] > lines[0], "nothing happened meanwhile"
    faults = [
        (verdict.name, verdict.findings)
        for report in [*told, verify(began)]
        for verdict in report.checks
        if not verdict.holds
    ]
    assert faults == []
    assert Entry.objects.filter(tenant=traffic.account.tenant, kind="correction").exists()


def test_a_proof_sees_one_moment_whatever_is_settled_meanwhile(live):
    traffic = Traffic(live)
    by_name = {check.name: check for check in CHECKS}
    with psycopg.connect(live, autocommit=True) as gateway, snapshot():
        before = Entry.objects.count()
        attempt = traffic.attempt(50)
        ledger.hold(gateway.cursor(), traffic.instance, attempt)
        ledger.settle(gateway.cursor(), traffic.priced(attempt, 20))
        assert Entry.objects.count() == before
        assert judge(by_name["I6a"], Scope()).holds


def test_a_proof_cannot_write(live):
    with pytest.raises(DatabaseError, match="read-only transaction"), snapshot():
        GatewayInstance.objects.create(host="nobody", pid=1)
