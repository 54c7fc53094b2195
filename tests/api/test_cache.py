"""The cache of answers over real sockets: who gets one, what it says, and what the ledger tells."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest

from billing.models import Budget, Price
from providers.models import Route
from runestone.local.mock_provider.process import MockProvider
from tenants.models import ApiKey
from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

FOR_A_MINUTE = {"x-runestone-cache": "60"}
# By then every gateway knows of a change in the configuration.
NOTICE_SECONDS = 1.0


@pytest.fixture
def text() -> str:
    """What nobody has asked before."""
    return f"The quick brown fox {uuid4().hex}"


def ask(
    client: openai.OpenAI, text: str, cache: str | None = "60", /, **options: Any
) -> tuple[Any, str | None]:
    """The answer, and what its header says of the cache."""
    headers = {} if cache is None else {"x-runestone-cache": cache}
    raw = client.chat.completions.with_raw_response.create(
        **{
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": text}],
            "extra_headers": headers,
            **options,
        }
    )
    return raw.parse(), raw.headers.get("x-runestone-cache")


def events(gateway: GatewayProcess, key: str, body: dict[str, Any], cache: str = "60") -> list[str]:
    """A stream's events as they are on the wire."""
    headers = {"authorization": f"Bearer {key}", "x-runestone-cache": cache}
    url = f"{gateway.url}/chat/completions"
    answer = httpx.post(url, json=body | {"stream": True}, headers=headers, timeout=30)
    answer.raise_for_status()
    return answer.text.removesuffix("\n\n").split("\n\n")


def without_own(payload: dict[str, Any]) -> dict[str, Any]:
    own = ("provider", "routing_policy", "request_id")
    return {name: value for name, value in payload.items() if name not in own}


def bills(mock_provider: MockProvider, account: Account) -> list[dict[str, Any]]:
    lines = account.settled()
    return [bill for line in lines for bill in mock_provider.bill(str(line.id))]


def test_it_works(client: openai.OpenAI, acme: Account, mock_provider: MockProvider, text: str):
    first, told = ask(client, text, seed=7)
    assert told == "miss"
    again, told = ask(client, text, seed=7)
    assert told == "hit"
    assert without_own(again.model_dump()) == without_own(first.model_dump())
    assert (again.provider, again.routing_policy) == ("mock", "default")
    assert again.request_id != first.request_id

    charge, cached = acme.lines(2)
    assert [charge.kind, cached.kind] == ["charge", "cached"]
    [bill] = bills(mock_provider, acme)
    assert charge.amount_pico == bill["amount_pico"] > 0
    assert (cached.amount_pico, cached.held_pico) == (0, 0)
    assert cached.saved_pico == charge.amount_pico
    assert (cached.upstream, cached.model) == (charge.upstream, charge.model)
    assert (cached.price_state, cached.usage_source, cached.status) == ("priced", "none", 200)
    assert (cached.input_tokens, cached.output_tokens, cached.price_ids) == (0, 0, [])
    assert acme.window().posted_pico == charge.amount_pico
    assert acme.window().pending_pico == 0


def test_a_stream_comes_again_as_the_same_stream(
    gateway: GatewayProcess, acme: Account, mock_provider: MockProvider, text: str
):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    first, again = (events(gateway, acme.key, body) for _ in range(2))
    assert again[1:] == first[1:]
    assert again[-1] == "data: [DONE]"
    heads = [json.loads(each[0].removeprefix("data: ")) for each in (first, again)]
    assert without_own(heads[0]) == without_own(heads[1])
    assert heads[0]["request_id"] != heads[1]["request_id"]
    assert heads[1]["provider"] == "mock"

    charge, cached = acme.lines(2)
    assert cached.kind == "cached"
    assert cached.streamed
    assert cached.saved_pico == charge.amount_pico == bills(mock_provider, acme)[0]["amount_pico"]


def test_the_sdk_reads_a_replayed_stream(client: openai.OpenAI, text: str):
    told = []
    for _ in range(2):
        stream, state = ask(client, text, stream=True, stream_options={"include_usage": True})
        chunks = list(stream)
        said = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
        told.append((state, said, chunks[-1].usage.total_tokens))
    (_, *first), (state, *again) = told
    assert (state, again) == ("hit", first)


def test_without_asking_nothing_is_kept_and_nothing_told(
    client: openai.OpenAI, acme: Account, text: str
):
    assert [ask(client, text, None)[1] for _ in range(2)] == [None, None]
    assert ask(client, text)[1] == "miss"
    assert ask(client, text, None)[1] is None
    assert [line.kind for line in acme.lines(4)] == ["charge"] * 4


def test_a_key_may_ask_for_all_its_calls(client: openai.OpenAI, acme: Account, text: str):
    acme.api_key.cache_seconds = 60
    acme.api_key.save()
    time.sleep(NOTICE_SECONDS)
    assert [ask(client, text, None)[1] for _ in range(2)] == ["miss", "hit"]
    assert ask(client, text, "no-store")[1] is None
    assert [line.kind for line in acme.lines(3)] == ["charge", "cached", "charge"]


def test_a_refresh_asks_anew_and_is_kept(client: openai.OpenAI, text: str):
    before = ask(client, text)[0].id
    fresh, told = ask(client, text, "refresh, 60")
    assert told == "miss"
    assert fresh.id != before
    assert ask(client, text)[0].id == fresh.id


def test_no_store_keeps_nothing(client: openai.OpenAI, text: str):
    ask(client, text, "no-store")
    assert ask(client, text)[1] == "miss"


def test_it_ends(client: openai.OpenAI, text: str):
    ask(client, text, "1")
    assert ask(client, text, "1")[1] == "hit"
    time.sleep(1.1)
    assert ask(client, text, "1")[1] == "miss"


def test_an_answer_may_be_too_old_for_one_and_not_for_another(client: openai.OpenAI, text: str):
    ask(client, text, "60")
    time.sleep(1.1)
    assert ask(client, text, "60")[1] == "hit"
    assert ask(client, text, "1")[1] == "miss"


@pytest.mark.parametrize("cache", ["soon", "0", "refresh"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_header_that_cannot_be_meant(
    client: openai.OpenAI, acme: Account, text: str, cache: str, stream: bool
):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, text, cache, stream=stream)
    assert (caught.value.param, caught.value.code) == ("x-runestone-cache", "invalid_value")
    assert not acme.holds()


# Whose it is.


def test_a_stranger_gets_nothing_of_it(
    gateway: GatewayProcess, client: openai.OpenAI, globex: Account, text: str
):
    mine = ask(client, text)[0].id
    with globex.client(gateway.url) as strangers:
        theirs, told = ask(strangers, text)
        assert told == "miss"
        assert theirs.id != mine
        assert ask(strangers, text)[0].id == theirs.id
    assert ask(client, text)[0].id == mine


def test_keys_of_one_tenant_share(
    gateway: GatewayProcess, client: openai.OpenAI, acme: Account, text: str
):
    mine = ask(client, text)[0].id
    _, key = ApiKey.mint(tenant=acme.tenant, name="another")
    with acme.client(gateway.url, api_key=key) as another:
        answer, told = ask(another, text)
    assert (answer.id, told) == (mine, "hit")


def test_a_key_that_may_not_use_the_model_does_not_get_its_answers(
    gateway: GatewayProcess, client: openai.OpenAI, acme: Account, text: str
):
    ask(client, text)
    api_key, key = ApiKey.mint(tenant=acme.tenant, name="limited")
    api_key.models_allow = ["echo"]
    api_key.save()
    with acme.client(gateway.url, api_key=key) as limited, pytest.raises(openai.NotFoundError):
        ask(limited, text)
    assert len(acme.lines(1)) == 1


def test_a_revoked_key_gets_nothing(client: openai.OpenAI, acme: Account, text: str):
    ask(client, text)
    acme.api_key.revoke()
    time.sleep(NOTICE_SECONDS)
    with pytest.raises(openai.AuthenticationError):
        ask(client, text)


# What is the same call, and what is not.


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.5},
        {"n": 2},
        {"user": "somebody"},
        {"model": "gpt-4o"},
        {"stream": True},
        {"extra_body": {"some_vendors_field": 1}},
        {"extra_body": {"provider": "mock"}},
    ],
    ids=lambda options: "-".join(options),
)
def test_whatever_differs_may_change_the_answer(
    client: openai.OpenAI, text: str, options: dict[str, Any]
):
    ask(client, text)
    assert ask(client, text, **options)[1] == "miss"
    assert ask(client, text)[1] == "hit"


def test_what_only_names_the_call_does_not(client: openai.OpenAI, acme: Account, text: str):
    ask(client, text)
    own = {"request_id": "mine", "tenant_id": acme.tenant.slug}
    answer, told = ask(client, text, extra_body=own, stop=None)
    assert (told, answer.request_id) == ("hit", "mine")


def test_the_order_of_fields_does_not_matter(gateway: GatewayProcess, acme: Account, text: str):
    bodies = (
        f'{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{text}"}}],"seed":1}}',
        f'{{ "seed" : 1, "stream": false, "messages": [ {{"content": "{text}", "role": "user"}} ],'
        '  "model":"gpt-4o-mini" }',
    )
    headers = {
        "authorization": f"Bearer {acme.key}",
        "content-type": "application/json",
        **FOR_A_MINUTE,
    }
    url = f"{gateway.url}/chat/completions"
    told = [
        httpx.post(url, content=body, headers=headers).headers["x-runestone-cache"]
        for body in bodies
    ]
    assert told == ["miss", "hit"]


def test_what_the_provider_is_to_keep_is_never_answered_from_here(client: openai.OpenAI, text: str):
    assert [ask(client, text, store=True)[1] for _ in range(2)] == [None, None]


def test_another_way_is_another_answer(client: openai.OpenAI, scenario: Scenario, text: str):
    """An operator who points a model elsewhere does not wait for old answers to end."""
    model = scenario("seed=1")
    assert [ask(client, text, model=model)[1] for _ in range(2)] == ["miss", "hit"]
    Route.objects.filter(model__name=model).update(upstream_model="gpt-4o-mini")
    time.sleep(NOTICE_SECONDS)
    assert ask(client, text, model=model)[1] == "miss"


@pytest.mark.parametrize("how", ["error=500", "cut=2", "garbage=200", "cut_json"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_only_what_is_complete_is_kept(
    client: openai.OpenAI, scenario: Scenario, acme: Account, text: str, how: str, stream: bool
):
    model = scenario(how)
    for _ in range(2):
        with pytest.raises(openai.APIError):
            list(ask(client, text, model=model, stream=stream)[0])
    assert "cached" not in [line.kind for line in acme.lines(2)]


def test_a_long_answer_is_not_kept(client: openai.OpenAI, scenario: Scenario, text: str):
    model = scenario("chunks=9000")
    for _ in range(2):
        stream, told = ask(client, text, model=model, stream=True)
        assert sum(1 for _ in stream) >= 9_000
        assert told == "miss"


# Where money and providers are away.


def test_an_exhausted_budget_is_not_in_its_way(client: openai.OpenAI, acme: Account, text: str):
    ask(client, text)
    acme.lines(1)
    # Overdrawn, even: less than what has been spent already.
    Budget.objects.filter(tenant=acme.tenant).update(limit_pico=1)
    with pytest.raises(openai.RateLimitError):
        ask(client, text, None)
    assert ask(client, text)[1] == "hit"
    assert acme.lines(2)[1].kind == "cached"


def test_what_it_saved_is_told_at_the_prices_of_today(
    client: openai.OpenAI, scenario: Scenario, acme: Account, text: str
):
    model = scenario("chunks=7")
    ask(client, text, model=model)
    [charge] = acme.lines(1)
    Price.objects.filter(model=model).update(usd="9")
    time.sleep(NOTICE_SECONDS)
    ask(client, text, model=model)
    cached = acme.lines(2)[1]
    assert cached.saved_pico == 9 * 10**6 * (charge.input_tokens + charge.output_tokens)


def test_an_unknown_price_leaves_unknown_what_was_saved(
    client: openai.OpenAI, scenario: Scenario, acme: Account, text: str
):
    model = scenario("chunks=6")
    ask(client, text, model=model)
    Price.objects.filter(model=model).delete()
    time.sleep(NOTICE_SECONDS)
    assert ask(client, text, model=model)[1] == "hit"
    cached = acme.lines(2)[1]
    assert (cached.kind, cached.saved_pico, cached.amount_pico) == ("cached", None, 0)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_without_usage_what_was_counted_is_saved(
    client: openai.OpenAI, scenario: Scenario, acme: Account, text: str, stream: bool
):
    model = scenario("no_usage")
    for _ in range(2):
        assert list(ask(client, text, model=model, stream=stream)[0])
    charge, cached = acme.lines(2)
    assert (charge.price_state, cached.price_state) == ("estimated", "priced")
    assert cached.saved_pico == charge.amount_pico > 0


def test_the_same_call_twice_at_once_is_made_twice(
    client: openai.OpenAI, scenario: Scenario, acme: Account, text: str
):
    """Nobody waits for another's answer, which may never come."""
    model = scenario("delay=0.5")
    with ThreadPoolExecutor(2) as pool:
        told = [state for _, state in pool.map(lambda _: ask(client, text, model=model), range(2))]
    assert told == ["miss", "miss"]
    assert ask(client, text, model=model)[1] == "hit"
    assert [line.kind for line in acme.lines(3)] == ["charge", "charge", "cached"]


# All doors.


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "{text}"}),
        ("/embeddings", {"model": "text-embedding-3-small", "input": "{text}"}),
        ("/moderations", {"input": "{text}"}),
        ("/responses", {"model": "gpt-4o-mini", "input": "{text}", "store": False}),
    ],
    ids=lambda value: value.strip("/") if isinstance(value, str) else "",
)
def test_every_endpoint_has_it(
    gateway: GatewayProcess, acme: Account, text: str, path: str, body: dict[str, Any]
):
    asked = {name: text if value == "{text}" else value for name, value in body.items()}
    headers = {"authorization": f"Bearer {acme.key}", **FOR_A_MINUTE}
    answers = [httpx.post(gateway.url + path, json=asked, headers=headers) for _ in range(2)]
    assert [each.headers["x-runestone-cache"] for each in answers] == ["miss", "hit"]
    assert answers[1].headers["x-runestone-provider"] == "mock"
    assert answers[1].headers["x-request-id"] != answers[0].headers["x-request-id"]
    charge, cached = acme.lines(2)
    assert (charge.kind, cached.kind) == ("charge", "cached")
    assert cached.saved_pico == charge.amount_pico


def test_a_response_from_the_cache_is_a_response_of_its_own(client: openai.OpenAI, text: str):
    options: dict[str, Any] = {"model": "gpt-4o-mini", "input": text}
    first, again = (
        client.responses.create(**options, extra_headers=FOR_A_MINUTE) for _ in range(2)
    )
    assert again.output_text == first.output_text
    assert again.usage == first.usage
    assert again.id != first.id
    assert client.responses.retrieve(again.id).output_text == first.output_text


def test_a_streamed_response(client: openai.OpenAI, acme: Account, text: str):
    kinds = []
    for _ in range(2):
        stream = client.responses.create(
            model="gpt-4o-mini", input=text, stream=True, extra_headers=FOR_A_MINUTE
        )
        kinds.append([event.type for event in stream])
    assert kinds[0] == kinds[1]
    assert [line.kind for line in acme.lines(2)] == ["charge", "cached"]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_messages(gateway: GatewayProcess, acme: Account, text: str, stream: bool):
    with anthropic.Anthropic(base_url=gateway.root, api_key=acme.key, max_retries=0) as claude:
        told, said = [], []
        for _ in range(2):
            raw = claude.messages.with_raw_response.create(
                model="gpt-4o-mini",
                max_tokens=1_000,
                messages=[{"role": "user", "content": text}],
                stream=stream,
                extra_headers=FOR_A_MINUTE,
            )
            told.append(raw.headers["x-runestone-cache"])
            answer: Any = raw.parse()
            said.append([each.type for each in answer] if stream else answer.content)
    assert told == ["miss", "hit"]
    assert said[0] == said[1]
    assert [line.kind for line in acme.lines(2)] == ["charge", "cached"]


def test_a_bad_header_under_messages(gateway: GatewayProcess, acme: Account):
    with (
        anthropic.Anthropic(base_url=gateway.root, api_key=acme.key, max_retries=0) as claude,
        pytest.raises(anthropic.BadRequestError, match="x-runestone-cache"),
    ):
        claude.messages.create(
            model="gpt-4o-mini",
            max_tokens=10,
            messages=[{"role": "user", "content": "Hello"}],
            extra_headers={"x-runestone-cache": "soon"},
        )
