"""Which calls are the same."""

from typing import Any

import pytest

from api.cache.likeness import digest
from api.question import Question
from api.requests import Call, decode
from providers.dialects.base import Target
from providers.keyring import UpstreamKey
from providers.routing import Option
from providers.wire import CHAT, COMPLETION, ModelCall
from runestone.lib.policy import RoutingPolicy
from tenants.authentication import Caller
from tests.providers.calls import decoded, model, target

SECRET = b"pepper"
BODY = b'{"model":"m","messages":[{"role":"user","content":"Hello"}],"seed":1}'


def caller(**fields: Any) -> Caller:
    return Caller(
        **{
            "tenant_id": 1, "tenant_slug": "acme", "tenant_status": "active", "project_id": None,
            "api_key_id": 1, "default_model": "", "max_output_tokens": None, "routing_policy": "",
            "hedge_seconds": None, "expires_at": None, "revoked_at": None, **fields,
        }
    )  # fmt: skip


def named(
    asked: ModelCall | bytes = BODY, *targets: Target, secret: bytes = SECRET, **fields: Any
) -> str | None:
    asked = decoded(asked) if isinstance(asked, bytes) else asked
    options = [Option(model(each), each) for each in targets or (target(),)]
    who = caller(**fields)
    return digest(Question(Call({}, b""), who, asked, options, RoutingPolicy.DEFAULT), secret)


def test_it_works():
    first = named()
    assert first == named()
    assert first is not None
    assert len(bytes.fromhex(first)) == 32


@pytest.mark.parametrize(
    "body",
    [
        b'{"seed":1,"messages":[{"content":"Hello","role":"user"}],"model":"m"}',
        b' { "seed": 1, "model" : "m", "messages":[ {"role":"user","content":"He\\u006clo"} ] }',
        BODY.replace(b'"seed"', b'"request_id":"mine","tenant_id":1,"seed"'),
        BODY.replace(b'"seed"', b'"stream":false,"stop":null,"seed"'),
        # The model is told by the ways.
        BODY.replace(b'"m"', b'"an-alias"'),
    ],
    ids=["order", "space-and-escapes", "names", "null-and-false", "alias"],
)
def test_the_same_in_other_words(body: bytes):
    assert named(body) == named()


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"Hello", b"hello"),
        BODY.replace(b'"seed":1', b'"seed":2'),
        BODY.replace(b'"seed":1', b'"seed":18446744073709551617'),
        BODY.replace(b'"seed":1', b'"seed":1,"stream":true'),
        BODY.replace(b'"seed":1', b'"seed":1,"unknown":{"a":[1,2]}'),
        BODY.replace(b'"seed":1', b'"seed":1,"unknown":{"a":[2,1]}'),
        BODY.replace(b'"seed":1', b'"seed":1,"user":"u"'),
        BODY.replace(b'"seed":1', b'"seed":1,"provider":"openai"'),
        BODY.replace(b'"seed":1', b'"seed":1,"max_cost_per_token":"0.1"'),
    ],
    ids=lambda body: body.partition(b'"Hello"}],')[2].decode() or "content",
)
def test_another_call(body: bytes):
    assert named(body) != named()


def test_numbers_of_any_size_are_told_apart():
    bodies = [BODY.replace(b'"seed":1', b'"seed":%d' % (2**64 + each)) for each in range(2)]
    assert named(bodies[0]) != named(bodies[1])


def test_another_tenant_another_secret_or_another_cap():
    names = {named(), named(tenant_id=2), named(secret=b"salt"), named(max_output_tokens=5)}
    assert len(names) == 4
    assert named(api_key_id=2, project_id=7) == named()


def test_another_way():
    ways = [
        target(),
        target(upstream="azure"),
        target(base_url="https://other.test/v1"),
        target(upstream_model="gpt-4o-mini-2025"),
    ]
    assert len({named(BODY, each) for each in ways} | {named(BODY, *ways)}) == 5
    assert named(BODY, *ways) == named(BODY, *reversed(ways))
    # Whom one would ask first changes nothing in what they would say.
    assert named(BODY, target(priority=1, weight=9)) == named()


def test_another_endpoint():
    assert named(decode(COMPLETION, b'{"prompt":"x"}')) != named(decode(CHAT, BODY))


def test_its_own_words_count_too():
    in_words = decoded(BODY).in_its_own_words({})
    others = decoded(BODY).in_its_own_words(decoded(BODY).fields)
    assert len({named(), named(in_words), named(others)}) == 3


@pytest.mark.parametrize("value", [b"1e999", b"[" * 2_000 + b"]" * 2_000])
def test_what_cannot_be_read_has_no_like(value: bytes):
    asked = decoded(BODY)
    asked.fields["unknown"] = type(asked.fields["seed"])(value)
    assert named(asked) is None


def test_who_has_no_way_has_no_place():
    own = target(keys=(UpstreamKey(1, 2, "sk-theirs"),))
    assert named(BODY, own) is None
    assert named(BODY, own, tenant_id=2) is not None
