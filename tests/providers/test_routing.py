"""Who may serve a call, in which order, and what a caller hears if nobody may: tables of rules."""

from collections import Counter
from fractions import Fraction

import pytest

from providers import routing
from providers.dialects.base import Target
from providers.keyring import UpstreamKey
from providers.routing import Errand, Option
from providers.wire import EMBEDDING, ModelCall
from runestone.lib.errors import GatewayError
from runestone.lib.policy import RoutingPolicy
from tests.providers.calls import chat, model, target

TENANT, STRANGER = 1, 2
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}


class Outlook:
    """What traffic and prices say, as a test says it; by upstream."""

    def __init__(self, **known):
        self.down = known.get("down", ())
        self.full = known.get("full", ())
        self.resting = known.get("resting", {})
        self.latencies = known.get("latencies", {})
        self.costs = known.get("costs", {})
        self.rates = known.get("rates", {})

    def permits(self, upstream: str) -> bool:
        return upstream not in self.down

    def seconds_until_trial(self, upstream: str) -> float:
        return 7.0

    def seconds_until_ready(self, target: Target, tenant_id: int) -> float:
        return self.resting.get(target.upstream, 0.0)

    def latency(self, upstream: str, model: str) -> float | None:
        return self.latencies.get(upstream)

    def has_room(self, target: Target) -> bool:
        return target.upstream not in self.full

    def cost(self, call: ModelCall, option: Option) -> int | None:
        return self.costs.get(option.target.upstream)

    def highest_rate(self, call: ModelCall, option: Option) -> Fraction | None:
        return self.rates.get(option.target.upstream)


def decided(call, *options, policy="default", **known):
    options = options or ways("a", "b", "c")
    decision = routing.decide(
        Errand(call, TENANT, RoutingPolicy(policy)), list(options), Outlook(**known)
    )
    # A failing test shows the whole decision.
    print(decision.told())  # noqa: T201
    return decision


def ways(*upstreams, of=None, **fields):
    """A model that is served at each of these, the earlier the better."""
    return [
        Option(of or model(), target(upstream=upstream, priority=number, **fields))
        for number, upstream in enumerate(upstreams)
    ]


def order(decision):
    return "".join(option.target.upstream for option in decision.candidates)


def test_it_works():
    decision = decided(chat())
    assert order(decision) == "abc"
    assert decision.left_out == ()


# Who is left out.

ABC = model(
    capabilities=("chat", "streaming", "tools", "vision", "json_schema"), context_window=100
)
BARE = model(name="bare", family="other", capabilities=("chat",))
TOOL = {"type": "function", "function": {"name": "f"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"provider": "z"}, "provider", "no_route"),
        ({"model_family": "other"}, "model_family", "no_route"),
        ({"capabilities": ["chat", "telepathy"]}, "capabilities", "no_route"),
        ({"max_cost_per_token": 0.000001}, "max_cost_per_token", "no_route"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "messages",
            "unsupported_capability",
        ),
        (
            {"messages": [{"role": "user", "content": "word " * 200}]},
            "messages",
            "context_length_exceeded",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wish_that_nobody_fulfils_is_a_bad_request(fields, param, code):
    with pytest.raises(GatewayError) as caught:
        decided(chat(**fields), *ways("a", "b", of=ABC))
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stream": True}, "stream"),
        ({"tools": [TOOL]}, "tools"),
        ({"response_format": SCHEMA}, "response_format"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_model_has_to_be_capable_of_what_the_call_needs(fields, param):
    with pytest.raises(GatewayError) as caught:
        decided(chat(**fields), Option(BARE, target()))
    assert (caught.value.param, caught.value.code) == (param, "unsupported_capability")
    assert order(decided(chat(**fields), Option(ABC, target(upstream="a")))) == "a"


def test_a_model_of_which_nothing_is_known_is_asked():
    unknown = model(capabilities=(), context_window=None)
    assert order(decided(chat(tools=[TOOL]), *ways("a", of=unknown))) == "a"


def test_an_operation_that_a_dialect_does_not_carry():
    call = ModelCall(EMBEDDING, EMBEDDING.decoder.decode(b'{"input": "x"}'), {}, 14)
    embedder = model(capabilities=("embeddings",))
    options = [
        Option(embedder, target(upstream="a", dialect="anthropic")),
        Option(embedder, target(upstream="b")),
    ]
    assert order(decided(call, *options)) == "b"
    with pytest.raises(GatewayError) as caught:
        decided(call, options[0])
    assert caught.value.code == "unsupported_operation"


@pytest.mark.parametrize(
    ("known", "status", "code", "headers"),
    [
        ({"down": "abc"}, 503, "upstream_unavailable", {"retry-after": "7"}),
        ({"full": "abc"}, 503, "upstream_busy", {"retry-after": "1"}),
        (
            {"resting": dict.fromkeys("abc", 1.2)},
            429,
            "rate_limit_exceeded",
            {"retry-after": "2", "retry-after-ms": "1200"},
        ),
        ({"resting": dict.fromkeys("abc", 550.0)}, 503, "upstream_refused", {}),
    ],
    ids=["down", "full", "cooling", "refused"],
)
def test_what_passes_by_itself_is_told_with_the_time_to_wait(known, status, code, headers):
    with pytest.raises(GatewayError) as caught:
        decided(chat(), **known)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert dict(caught.value.headers) == headers


@pytest.mark.parametrize("known", ["down", "full"])
def test_who_cannot_at_present_is_left_out(known):
    decision = decided(chat(), **{known: "a"})
    assert order(decision) == "bc"
    [left_out] = decision.left_out
    assert left_out.option.target.upstream == "a"


def test_a_stranger_does_not_hear_of_what_another_tenant_brought():
    brought = target(upstream="a", keys=(UpstreamKey(1, STRANGER, "sk-theirs"),))
    with pytest.raises(GatewayError) as caught:
        decided(chat(), Option(model(), brought))
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    mine = target(upstream="b", keys=(UpstreamKey(2, TENANT, "sk-mine"),))
    assert order(decided(chat(), Option(model(), brought), Option(model(), mine))) == "b"


def test_the_error_is_of_the_one_that_came_closest():
    """One lacks the capability; the other has it, and is only down."""
    options = [Option(BARE, target(upstream="a")), Option(ABC, target(upstream="b"))]
    with pytest.raises(GatewayError) as caught:
        decided(chat(tools=[TOOL]), *options, down="b")
    assert caught.value.code == "upstream_unavailable"


# The context window.


@pytest.mark.parametrize(
    ("content", "fits"),
    [
        ("word " * 119, True),
        ("word " * 122, False),
        # Not text: what an image costs is not in its bytes.
        (
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9000}}],
            True,
        ),
        ([{"type": "text", "text": "word " * 122}], False),
    ],
    ids=["within", "beyond", "image", "parts"],
)
def test_a_text_that_cannot_fit_is_refused_before_anybody_is_asked(content, fits):
    call = chat(messages=[{"role": "user", "content": content}])
    options = ways("a", of=ABC)
    if fits:
        assert order(decided(call, *options)) == "a"
        return
    with pytest.raises(GatewayError, match="maximum context length is 100 tokens") as caught:
        decided(call, *options)
    assert caught.value.code == "context_length_exceeded"


def test_a_larger_window_serves_it():
    call = chat(messages=[{"role": "user", "content": "word " * 200}])
    larger = model(name="larger", context_window=1_000)
    assert order(decided(call, *ways("a", of=ABC), *ways("b", of=larger))) == "b"


# Orders.


@pytest.mark.parametrize(
    ("policy", "known", "expected"),
    [
        ("default", {}, "abc"),
        ("priority", {}, "abc"),
        ("cost", {"costs": {"a": 3, "b": 1, "c": 2}}, "bca"),
        # Unknown is not cheap.
        ("cost", {"costs": {"a": 3, "c": 2}}, "cab"),
        ("cost", {"costs": {"a": 0, "c": 2}}, "acb"),
        ("latency", {"latencies": {"a": 0.3, "b": 0.1, "c": 0.2}}, "bca"),
        # Not tried of late: it is, now.
        ("latency", {"latencies": {"a": 0.3, "b": 0.1}}, "cba"),
        # Among equals the usual order holds.
        ("cost", {"costs": {"a": 1, "b": 1, "c": 1}}, "abc"),
        ("latency", {}, "abc"),
    ],
)
def test_a_policy_orders_the_candidates(policy, known, expected):
    assert order(decided(chat(), policy=policy, **known)) == expected


def chosen(*targets, policy, times=3_000):
    options = [Option(model(), each) for each in targets]
    errand = Errand(chat(), TENANT, RoutingPolicy(policy))
    decisions = (routing.decide(errand, options, Outlook()) for _ in range(times))
    return Counter(decision.candidates[0].target.upstream for decision in decisions)


def test_equals_share_by_weight():
    counts = chosen(
        target(upstream="light", weight=1),
        target(upstream="heavy", weight=3),
        target(upstream="spare", priority=200, weight=9),
        policy="default",
    )
    assert counts.keys() == {"light", "heavy"}
    # Twelve standard deviations: this does not fail by chance.
    assert 450 < counts["light"] < 1_050


def test_weighted_knows_no_priority():
    counts = chosen(
        target(upstream="light", weight=1, priority=1),
        target(upstream="heavy", weight=3, priority=200),
        policy="weighted",
    )
    assert 450 < counts["light"] < 1_050


# What is told.


def test_the_ledger_is_told_the_whole_decision():
    decision = decided(chat(), policy="cost", costs={"b": 1, "c": 2}, down="a")
    assert decision.told() == {
        "policy": "cost",
        "candidates": ["b/gpt-4o-mini", "c/gpt-4o-mini"],
        "left_out": {
            "a/gpt-4o-mini": "The provider of `gpt-4o-mini` is failing, and is left alone for a "
            "moment."
        },
    }


def test_where_there_is_nothing_to_decide_nothing_is_told():
    assert decided(chat(), *ways("a")).told() is None
