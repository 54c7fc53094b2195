"""Stored responses: retrieved, gone on from, deleted; never a stranger's."""

from datetime import timedelta

import openai
import pytest
from django.utils import timezone

from api.models import StoredResponse
from api.tasks import purge_responses
from billing.models import Budget
from tests.api.responses.test_create import LOOKUP, MODEL
from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

NOT_THERE = "resp_" + "0" * 32


def test_it_works(client: openai.OpenAI, acme: Account):
    made = client.responses.create(model=MODEL, input="Hello there", metadata={"a": "b"})
    found = client.responses.retrieve(made.id)

    assert found.to_dict() == made.to_dict()
    assert found.store
    acme.lines(1)


def test_a_streamed_one_is_stored_before_its_end_is_told(client: openai.OpenAI, acme: Account):
    for event in client.responses.create(model=MODEL, input="Hi", stream=True):
        if event.type == "response.completed":
            found = client.responses.retrieve(event.response.id)
    assert found.to_dict() == event.response.to_dict()
    acme.lines(1)


def test_store_false_keeps_nothing(client: openai.OpenAI, acme: Account):
    response = client.responses.create(model=MODEL, input="Hi", store=False)
    assert response.store is False
    assert not StoredResponse.objects.filter(tenant=acme.tenant).exists()
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_what_is_stored_is_sealed(client: openai.OpenAI, acme: Account):
    client.responses.create(model=MODEL, input="My secret is swordfish")
    [row] = StoredResponse.objects.filter(tenant=acme.tenant)
    assert b"swordfish" not in bytes(row.sealed)
    assert timedelta(days=29) < row.expires - timezone.now() <= timedelta(days=30)


def test_going_on_from_a_response(client: openai.OpenAI, acme: Account):
    first = client.responses.create(model=MODEL, input="one two", instructions="be so kind")
    second = client.responses.create(model=MODEL, input="three", previous_response_id=first.id)
    third = client.responses.create(model=MODEL, input="four", previous_response_id=second.id)

    assert third.output_text == "four"
    assert third.previous_response_id == second.id
    # Instructions are not carried over; everything else is, with the answers between.
    read = [line.input_tokens for line in acme.lines(3)]
    assert read == [5, 2 + 2 + 1, 2 + 2 + 1 + 1 + 1]


def test_going_on_while_streaming(client: openai.OpenAI, acme: Account):
    *_, first = client.responses.create(model=MODEL, input="one two", stream=True)
    *_, second = client.responses.create(
        model=MODEL, input="three", previous_response_id=first.response.id, stream=True
    )
    assert second.response.usage.input_tokens == 5


def test_a_tool_loop_over_the_store(client: openai.OpenAI, scenario: Scenario):
    first = client.responses.create(model=scenario("tools"), input="Where to?", tools=[LOOKUP])
    output = {
        "type": "function_call_output",
        "call_id": first.output[0].call_id,
        "output": "Rome",
    }
    second = client.responses.create(
        model=MODEL, input=[output], previous_response_id=first.id, tools=[LOOKUP]
    )
    assert second.output_text == "Where to?"


def test_reasoning_is_kept_but_not_sent(client: openai.OpenAI):
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    response = client.responses.create(
        model=MODEL, input=[reasoning, {"role": "user", "content": "one two"}]
    )
    assert response.usage.input_tokens == 2
    kept, _ = client.responses.input_items.list(response.id, order="asc").data
    assert kept.to_dict() == reasoning


def test_an_item_can_be_referred_to(client: openai.OpenAI, acme: Account):
    first = client.responses.create(model=MODEL, input="one two three")
    reference = {"type": "item_reference", "id": first.output[0].id}
    again = {"role": "user", "content": "four"}
    second = client.responses.create(model=MODEL, input=[reference, again])

    assert second.usage.input_tokens == 4
    items = client.responses.input_items.list(second.id, order="asc").data
    assert [item.role for item in items] == ["assistant", "user"]


def test_what_is_referred_to_must_be_there(
    client: openai.OpenAI, acme: Account, globex: Account, gateway: GatewayProcess
):
    first = client.responses.create(model=MODEL, input="one two three")
    reference = {"type": "item_reference", "id": first.output[0].id}
    with globex.client(gateway.url) as stranger:
        for name in (first.output[0].id, "msg_unknown", f"msg_{'0' * 36}"):
            with pytest.raises(openai.NotFoundError) as caught:
                stranger.responses.create(model=MODEL, input=[reference | {"id": name}])
            assert caught.value.param == "input"
            assert name in caught.value.message
    globex.lines(0)


def test_input_items(client: openai.OpenAI):
    first = client.responses.create(
        model=MODEL,
        input=[{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
               {"role": "user", "content": "three"}],
    )  # fmt: skip
    newest_first = client.responses.input_items.list(first.id)
    texts = [item.content[0].text for item in newest_first.data]
    assert texts == ["three", "two", "one"]
    assert len({item.id for item in newest_first.data}) == 3

    oldest, *_ = client.responses.input_items.list(first.id, order="asc", limit=1).data
    assert oldest.content[0].type == "input_text"
    page = client.responses.input_items.list(first.id, order="asc", limit=1)
    assert page.has_more
    assert [item.content[0].text for item in page] == ["one", "two", "three"]  # by pages

    second = client.responses.create(model=MODEL, input="four", previous_response_id=first.id)
    assert len(client.responses.input_items.list(second.id).data) == 5


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=nothing"])
def test_a_wrong_page(query: str, client: openai.OpenAI):
    response = client.responses.create(model=MODEL, input="Hi")
    param, _, value = query.partition("=")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.input_items.list(response.id, extra_query={param: value})
    assert caught.value.param == param


def test_deleting(client: openai.OpenAI, acme: Account):
    response = client.responses.create(model=MODEL, input="Hi")
    client.responses.delete(response.id)

    for act in (
        lambda: client.responses.retrieve(response.id),
        lambda: client.responses.delete(response.id),
        lambda: client.responses.input_items.list(response.id),
        lambda: client.responses.cancel(response.id),
    ):
        with pytest.raises(openai.NotFoundError):
            act()
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model=MODEL, input="x", previous_response_id=response.id)
    assert not StoredResponse.objects.filter(tenant=acme.tenant).exists()
    acme.lines(1)


def test_a_stranger_finds_nothing(
    client: openai.OpenAI, acme: Account, globex: Account, gateway: GatewayProcess
):
    response = client.responses.create(model=MODEL, input="Hi")
    with globex.client(gateway.url) as stranger:
        for act in (
            lambda name: stranger.responses.retrieve(name),
            lambda name: stranger.responses.delete(name),
            lambda name: stranger.responses.input_items.list(name),
            lambda name: stranger.responses.cancel(name),
            lambda name: stranger.responses.create(
                model=MODEL, input="x", previous_response_id=name
            ),
        ):
            told = []
            for name in (response.id, NOT_THERE):
                with pytest.raises(openai.APIStatusError) as caught:
                    act(name)
                error = caught.value
                assert error.status_code in (400, 404)
                told.append((error.status_code, error.code, error.message.replace(name, "")))
            assert told[0] == told[1], "no hint that there is one"
    assert client.responses.retrieve(response.id).id == response.id
    globex.lines(0)


@pytest.mark.parametrize("name", ["resp_1", "nonsense", NOT_THERE, "resp_" + "z" * 32])
def test_an_unknown_name(name: str, client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(name)
    # OpenAI answers 400 here, and so that its SDK raises another exception.
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="x", previous_response_id=name)
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"
    assert caught.value.type == "invalid_request_error"


def test_what_was_waited_for_cannot_be_cancelled(client: openai.OpenAI):
    response = client.responses.create(model=MODEL, input="Hi")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.cancel(response.id)
    assert caught.value.type == "invalid_request_error"
    assert "Cannot cancel a synchronous response." in caught.value.message
    assert client.responses.retrieve(response.id).status == "completed"


def test_a_key_is_needed(client: openai.OpenAI, gateway: GatewayProcess):
    response = client.responses.create(model=MODEL, input="Hi")
    with openai.OpenAI(base_url=gateway.url, api_key="sk-wrong", max_retries=0) as nobody:
        with pytest.raises(openai.AuthenticationError):
            nobody.responses.retrieve(response.id)
        with pytest.raises(openai.AuthenticationError):
            nobody.responses.create(model=MODEL, input="Hi")


def test_a_budget_that_is_spent_hides_nothing(client: openai.OpenAI, acme: Account):
    response = client.responses.create(model=MODEL, input="Hi")
    acme.lines(1)
    Budget.objects.filter(tenant=acme.tenant).update(limit_pico=0)
    acme.window()
    acme.budget.windows.update(limit_pico=0)

    with pytest.raises(openai.RateLimitError) as caught:
        client.responses.create(model=MODEL, input="Hi")
    assert caught.value.code == "insufficient_quota"
    assert client.responses.retrieve(response.id).output_text == "Hi"
    client.responses.delete(response.id)
    acme.lines(1)


def test_what_has_expired_is_gone(client: openai.OpenAI, acme: Account):
    response = client.responses.create(model=MODEL, input="Hi")
    kept = client.responses.create(model=MODEL, input="Hi")
    StoredResponse.objects.filter(pk=response.id.removeprefix("resp_")).update(
        expires=timezone.now()
    )
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    purge_responses()
    [row] = StoredResponse.objects.filter(tenant=acme.tenant)
    assert f"resp_{row.id.hex}" == kept.id


def test_another_tenants_row_does_not_open(
    client: openai.OpenAI, acme: Account, globex: Account, gateway: GatewayProcess
):
    """Not even if somebody moves it in the database."""
    response = client.responses.create(model=MODEL, input="Hi")
    StoredResponse.objects.filter(tenant=acme.tenant).update(tenant=globex.tenant)
    with globex.client(gateway.url) as stranger, pytest.raises(openai.NotFoundError):
        stranger.responses.retrieve(response.id)
