"""The proof pages: whether the books are right, and what each check says."""

from django.db import connection
from django.test import Client
from django.urls import reverse

from billing.models import Proof
from billing.tasks import prove
from tests.admin.conftest import House

LIST = "/admin/billing/proof/"


def page(desk: Client) -> str:
    proof = Proof.objects.get()
    return desk.get(reverse("admin:billing_proof_change", args=[proof.pk])).content.decode()


def test_right_books_are_green(desk: Client, house: House):
    house.charge()
    prove(days=2)
    told = desk.get(LIST).content.decode()
    assert "right" in told
    assert "since 20" in told
    told = page(desk)
    assert "I6a · Posted money is the lines&#x27; sum" in told
    assert told.count("holds") >= len(Proof.objects.get().checks)
    assert ">fault<" not in told


def test_a_fault_is_red_and_says_what_is_wrong(desk: Client, house: House):
    house.charge()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_budgetwindow SET posted_pico = posted_pico + 1")
    prove()
    assert Proof.objects.get().faults == 1
    told = page(desk)
    assert "posted is $0.003500000001, its lines come to $0.0035" in told
    assert "admitted at any time" in told
    address = reverse("admin:billing_proof_change", args=[Proof.objects.get().pk])
    assert address in desk.get(LIST, {"outcome": "wrong"}).content.decode()
    assert address not in desk.get(LIST, {"outcome": "right"}).content.decode()


def test_departures_are_shown_with_their_reason(desk: Client, house: House):
    house.settle(house.hold(), amount_pico=None, price_state="unpriced", price_ids=[])
    prove()
    told = page(desk)
    assert "1 explained: no price was known: on the work list" in told
    assert ">fault<" not in told


def test_it_is_in_the_sidebar(desk: Client, house: House):
    assert LIST in desk.get("/admin/").content.decode()


def test_one_that_was_purged_leads_back_to_the_list(desk: Client):
    assert desk.get(f"{LIST}7/change/")["Location"] == LIST
