"""Several upstreams for one model: who is asked, who follows, and who pays for what."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import openai
import pytest
from django.db import transaction

from billing.models import Entry, Price
from providers.breaker import FAILURES_MAX
from providers.models import Alias, Model, Route, Upstream
from runestone.local.mock_provider.process import MockProvider
from runestone.local.throwaway import ThrowawayServers
from tests.cast import Account, wait_until_served
from tests.gateway_process import GatewayProcess

MESSAGES = [{"role": "user", "content": "The quick brown fox"}]
NOWHERE = "http://127.0.0.1:9/v1"
# More than the mock takes for anything.
SLOW = 1.0

Ways = Callable[..., str]


# It repeats, and learns from failures.
LEARNING = {"RUNESTONE_REPETITIONS_MAX": "1", "RUNESTONE_BREAKERS_ENABLED": "true"}
# What one gateway has found out, others know after so long.
NOTICE_SECONDS = 1.0


@pytest.fixture(scope="module")
def gateway(live_database_url: str) -> Iterator[GatewayProcess]:
    with GatewayProcess(live_database_url, **LEARNING) as running:
        yield running


@pytest.fixture
def ways(client: openai.OpenAI, mock_provider: MockProvider) -> Ways:
    """ways("error=500", "") makes a model with two upstreams that serve it so, and names it.

    The upstreams are `<model>-a`, `-b` and so on, in order of priority.
    """

    @transaction.atomic  # a gateway must see all of it or nothing
    def rows(*scenarios: str | None, usd: dict[str, str] | None = None, **fields: Any) -> str:
        name = f"ways-{uuid4().hex[:12]}"
        model = Model.objects.create(name=name, max_output_tokens=16_384, **fields)
        for letter, scenario in zip("abcdef", scenarios, strict=False):
            upstream = Upstream.objects.create(
                slug=f"{name}-{letter}",
                name=letter,
                dialect="openai",
                base_url=NOWHERE if scenario is None else mock_provider.url,
            )
            for price in Price.objects.filter(upstream="mock", model="gpt-4o-mini"):
                price.pk, price.upstream, price.model = None, upstream.slug, name
                price.usd = (usd or {}).get(letter) or price.usd
                price.save()
            Route.objects.create(
                model=model,
                upstream=upstream,
                upstream_model=f"gpt-4o-mini:{scenario}" if scenario else "gpt-4o-mini",
                priority=ord(letter),
            )
        return name

    def made(*scenarios: str | None, **fields: Any) -> str:
        name = rows(*scenarios, **fields)
        wait_until_served(client, name)
        return name

    return made


def ask(client: openai.OpenAI, model: str, **options: Any) -> Any:
    return client.chat.completions.create(**{"model": model, "messages": MESSAGES, **options})


def letters(lines: list[Entry]) -> str:
    return "".join(line.upstream[-1] for line in lines)


def owed(lines: list[Entry], mock_provider: MockProvider) -> bool:
    """Whether each line is what the provider billed for it, to the pico."""
    return all(
        line.amount_pico == sum(each["amount_pico"] for each in mock_provider.bill(str(line.id)))
        for line in lines
    )


# Before anything has reached the caller, the next one is tried.


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (None, "void"),
        ("error=500", "void"),
        ("error=429", "void"),
        ("error=401", "void"),
        ("error=404", "void"),
        ("drop", "charge"),
        ("garbage=200", "charge"),
    ],
    ids=lambda value: str(value) if value != "void" else "",
)
def test_the_next_one_answers(
    client: openai.OpenAI,
    acme: Account,
    ways: Ways,
    scenario: str | None,
    kind: str,
    stream: bool,
):
    answer = ask(client, ways(scenario, ""), stream=stream)
    told = list(answer)[0] if stream else answer  # noqa: RUF015 -- the stream is to be read whole
    assert told.provider.endswith("-b")
    first, second = acme.lines(2)
    assert letters([first, second]) == "ab"
    assert (first.request_id, first.attempt) == (second.request_id, 1)
    assert second.attempt == 2
    assert (first.kind, second.kind) == (kind, "charge")
    assert second.price_state == "priced"


@pytest.mark.parametrize("scenario", ["cut_json", "half_json"])
def test_an_answer_that_breaks_off(client: openai.OpenAI, acme: Account, ways: Ways, scenario: str):
    assert ask(client, ways(scenario, "")).provider[-1] == "b"
    assert letters(acme.lines(2)) == "ab"


def test_a_stream_that_breaks_off_before_it_says_anything(
    client: openai.OpenAI, acme: Account, ways: Ways
):
    """The role alone is not an answer: it is held back until a word comes."""
    chunks = list(ask(client, ways("cut=0", ""), stream=True))
    assert chunks[0].provider[-1] == "b"
    assert sum(bool(chunk.choices[0].delta.role) for chunk in chunks) == 1
    assert letters(acme.lines(2)) == "ab"


def test_after_the_first_word_nobody_else_is_tried(
    client: openai.OpenAI, acme: Account, ways: Ways
):
    with pytest.raises(openai.APIError):
        list(ask(client, ways("cut=2", ""), stream=True))
    assert letters(acme.lines(1)) == "a"


def test_what_the_caller_did_wrong_is_wrong_everywhere(
    client: openai.OpenAI, acme: Account, ways: Ways
):
    with pytest.raises(openai.BadRequestError):
        ask(client, ways("error=400", ""))
    assert letters(acme.lines(1)) == "a"


def test_what_one_vendor_cannot_do_another_can(client: openai.OpenAI, acme: Account, ways: Ways):
    model = ways("", "")
    Upstream.objects.filter(slug=f"{model}-a").update(quirks={"refuse_fields": ["logit_bias"]})
    time.sleep(1)
    assert ask(client, model, logit_bias={}).provider.endswith("-b")
    [line] = acme.lines(1)
    assert (line.upstream[-1], line.attempt) == ("b", 2)
    # The first line tells how it was chosen, whichever attempt is the first to have one.
    assert line.routing["candidates"] == [f"{model}-a/{model}", f"{model}-b/{model}"]


def test_what_is_too_dear_at_one_may_fit_at_another(
    client: openai.OpenAI, acme: Account, ways: Ways
):
    """The hard budget has no room for the dear one's worst case."""
    assert ask(client, ways("", "", usd={"a": "100000"})).provider.endswith("-b")
    assert letters(acme.lines(1)) == "b"


def test_if_all_fail_the_caller_hears_the_last(client: openai.OpenAI, acme: Account, ways: Ways):
    with pytest.raises(openai.RateLimitError):
        ask(client, ways("garbage=200", "error=429;retry_after=60"))
    assert letters(acme.lines(2)) == "ab"


# Once all have refused, they are asked again after a pause.


def test_who_refused_is_asked_again(client: openai.OpenAI, acme: Account, ways: Ways):
    model = ways(f"error=503;first=1;message={uuid4().hex}")
    assert ask(client, model).provider.endswith("-a")
    first, second = acme.lines(2)
    assert (first.kind, second.kind, second.attempt) == ("void", "charge", 2)


def test_the_provider_says_how_long_to_wait(client: openai.OpenAI, acme: Account, ways: Ways):
    model = ways(f"error=429;retry_after=1.5;first=1;message={uuid4().hex}")
    started = time.monotonic()
    ask(client, model)
    assert time.monotonic() - started >= 1.5
    acme.lines(2)


def test_longer_than_a_moment_is_the_callers_to_wait(
    client: openai.OpenAI, acme: Account, ways: Ways
):
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, ways("error=429;retry_after=60"))
    assert caught.value.response.headers["retry-after"] == "60"
    acme.lines(1)


def test_what_may_have_been_billed_is_not_repeated(
    client: openai.OpenAI, acme: Account, ways: Ways
):
    with pytest.raises(openai.InternalServerError):
        ask(client, ways("drop"))
    acme.lines(1)


# Breakers.


def test_who_keeps_failing_is_left_alone(
    client: openai.OpenAI, acme: Account, ways: Ways, mock_provider: MockProvider
):
    model = ways("error=500", "")
    calls = 20
    for _ in range(calls):
        assert ask(client, model).provider.endswith("-b")
    lines = acme.settled()
    assert letters(lines).count("b") == calls
    assert letters(lines).count("a") <= 10
    assert owed(lines, mock_provider)


def test_if_the_only_one_is_left_alone_the_caller_hears_for_how_long(
    client: openai.OpenAI, ways: Ways
):
    model = ways("error=500")
    for _ in range(10):
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client, model)
    assert (caught.value.status_code, caught.value.code) == (503, "upstream_unavailable")
    assert int(caught.value.response.headers["retry-after"]) >= 1


# Several gateways, and Redis.


def test_what_one_gateway_finds_out_the_other_knows(
    live_database_url: str, client: openai.OpenAI, acme: Account, ways: Ways
):
    model = ways("error=500", "")
    with (
        GatewayProcess(live_database_url, **LEARNING) as other,
        acme.client(other.url) as elsewhere,
    ):
        wait_until_served(elsewhere, model)
        for _ in range(FAILURES_MAX):
            assert ask(client, model).provider[-1] == "b"
        time.sleep(NOTICE_SECONDS)
        for _ in range(5):
            assert ask(elsewhere, model).provider[-1] == "b"
    assert letters(acme.settled()).count("a") == FAILURES_MAX


@pytest.fixture
def own_valkey() -> Iterator[ThrowawayServers]:
    servers = ThrowawayServers()
    servers.start(postgres=False)
    yield servers
    servers.stop()


def test_without_redis_calls_are_rescued_and_breakers_open_all_the_same(
    live_database_url: str,
    acme: Account,
    ways: Ways,
    own_valkey: ThrowawayServers,
    mock_provider: MockProvider,
):
    failing = ways("error=500", "")
    once = ways(f"error=503;first=1;message={uuid4().hex}")
    with (
        GatewayProcess(live_database_url, REDIS_URL=own_valkey.redis_url, **LEARNING) as alone,
        acme.client(alone.url) as caller,
    ):
        wait_until_served(caller, once)
        assert own_valkey.valkey.process is not None
        os.kill(own_valkey.valkey.process.pid, signal.SIGKILL)
        assert ask(caller, once).provider[-1] == "a"
        for _ in range(20):
            assert ask(caller, failing).provider[-1] == "b"
    lines = acme.settled(22)
    assert letters([line for line in lines if line.model == failing]).count("a") == FAILURES_MAX
    assert owed(lines, mock_provider)


# Bounds.


def test_a_bound_on_calls_sends_the_rest_elsewhere(client: openai.OpenAI, ways: Ways):
    model = ways("delay=0.5", "")
    Upstream.objects.filter(slug=f"{model}-a").update(calls_max=1)
    time.sleep(1)
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: ask(client, model), range(4))
    assert sorted(answer.provider[-1] for answer in answers) == ["a", "b", "b", "b"]


# Policies.


def test_a_policy_is_the_requests_or_the_tenants(client: openai.OpenAI, acme: Account, ways: Ways):
    model = ways("", "", usd={"a": "9"})
    assert ask(client, model).routing_policy == "default"
    cheap = ask(client, model, extra_body={"routing_policy": "cost"})
    assert (cheap.provider[-1], cheap.routing_policy) == ("b", "cost")
    acme.tenant.routing_policy = "cost"
    acme.tenant.save()
    time.sleep(1)
    assert ask(client, model).provider[-1] == "b"
    assert ask(client, model, extra_body={"routing_policy": "priority"}).provider[-1] == "a"
    [*_, last] = acme.lines(4)
    assert last.routing["policy"] == "priority"
    assert last.routing["candidates"] == [f"{model}-a/{model}", f"{model}-b/{model}"]


def test_cost_is_this_calls_and_not_the_lists(client: openai.OpenAI, ways: Ways):
    """One is cheap to read and dear to write, the other the reverse."""
    model = ways("", "")
    for letter, component in (("a", "input"), ("b", "output")):
        Price.objects.filter(upstream=f"{model}-{letter}", component=component).update(usd="0.01")
    for letter, component in (("a", "output"), ("b", "input")):
        Price.objects.filter(upstream=f"{model}-{letter}", component=component).update(usd="5")
    time.sleep(1)
    cheapest = {"extra_body": {"routing_policy": "cost"}}
    assert ask(client, model, max_completion_tokens=400, **cheapest).provider[-1] == "b"
    long = [{"role": "user", "content": "word " * 4_000}]
    assert (
        ask(client, model, messages=long, max_completion_tokens=1, **cheapest).provider[-1] == "a"
    )


def test_latency_finds_who_is_fast(client: openai.OpenAI, ways: Ways):
    model = ways("slow_headers=0.4", "")
    fast = {"extra_body": {"routing_policy": "latency"}}
    for _ in range(2):
        ask(client, model, **fast)
    assert {ask(client, model, **fast).provider[-1] for _ in range(5)} == {"b"}


def test_a_model_like_what_is_asked_for(client: openai.OpenAI, ways: Ways):
    family = f"family-{uuid4().hex[:8]}"
    dear = ways("", family=family, usd={"a": "9"})
    cheap = ways("", family=family)
    asked = {"messages": MESSAGES, "model": openai.omit}
    answer = client.chat.completions.create(
        **asked, extra_body={"model_family": family, "routing_policy": "cost"}
    )
    assert answer.provider == f"{cheap}-a"
    assert dear != cheap


# Names.


def test_names(client: openai.OpenAI, acme: Account, ways: Ways):
    model = ways("", "")
    alias = f"alias-{uuid4().hex[:8]}"
    Alias.objects.create(name=alias, model=Model.objects.get(name=model))
    time.sleep(1)
    assert ask(client, alias).provider[-1] == "a"
    assert ask(client, f"{model}-b/{model}").provider[-1] == "b"
    assert ask(client, f"{model}-b/{alias}").provider[-1] == "b"
    assert client.models.retrieve(alias).id == model
    # The ledger knows one name.
    assert {line.model for line in acme.lines(3)} == {model}


def test_a_name_of_several_models_is_not_guessed(client: openai.OpenAI, ways: Ways):
    word = f"large-{uuid4().hex[:8]}"
    one, two = ways(""), ways("")
    Route.objects.filter(model__name__in=[one, two]).update(upstream_model=word)
    time.sleep(1)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, word)
    assert (caught.value.code, caught.value.param) == ("ambiguous_model", "model")
    assert f"`{one}-a/{word}`" in caught.value.message
    assert ask(client, f"{two}-a/{word}").provider == f"{two}-a"


# Hedging.


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_second_one_is_asked_if_the_first_is_slow(
    client: openai.OpenAI, acme: Account, ways: Ways, mock_provider: MockProvider, stream: bool
):
    model = ways("slow_headers=5", "")
    acme.tenant.hedge_seconds = 0.2
    acme.tenant.save()
    time.sleep(1)
    started = time.monotonic()
    answer = ask(client, model, stream=stream)
    told = list(answer)[0] if stream else answer  # noqa: RUF015 -- the stream is to be read whole
    assert time.monotonic() - started < 4
    assert told.provider[-1] == "b"
    slow, fast = sorted(acme.lines(2), key=lambda line: line.attempt)
    assert (slow.upstream[-1], slow.status, slow.error) == ("a", 499, "hedged")
    # It may have worked on the call, so it is charged as an estimate until its bill says more.
    assert slow.price_state == "estimated"
    assert (fast.upstream[-1], fast.status, fast.price_state) == ("b", 200, "priced")


def test_a_fast_first_one_stays_alone(client: openai.OpenAI, acme: Account, ways: Ways):
    model = ways("", "")
    acme.tenant.hedge_seconds = SLOW
    acme.tenant.save()
    time.sleep(1)
    assert ask(client, model).provider[-1] == "a"
    assert letters(acme.lines(1)) == "a"
