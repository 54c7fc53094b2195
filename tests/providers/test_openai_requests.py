"""What becomes of a caller's body on its way to an upstream that speaks OpenAI's wire."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects.openai import OpenAIDialect
from providers.wire import OWN_FIELDS
from tests.providers.calls import chat, decoded, target

dialect = OpenAIDialect()


def sent(call, *, cap=None, **of_target):
    request = dialect.request(call, target(**of_target), output_tokens_max=cap)
    return json.loads(request.body)


def test_it_works():
    request = dialect.request(chat(model="gpt-4o-mini"), target(), output_tokens_max=None)
    assert request.url == "https://upstream.test/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-upstream"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "messages": [{"role": "user", "content": "Hello"}],
        "model": "gpt-4o-mini-2024-07-18",
    }


def test_without_a_credential_no_header_is_sent():
    request = dialect.request(chat(), target(credential=None), output_tokens_max=None)
    assert "authorization" not in request.headers


def test_what_we_do_not_know_passes_byte_for_byte():
    raw = {
        "logit_bias": b'{"50256":-100}',
        "tools": b'[{ "type":"function", "function":{"name":"f","parameters":{"a":1.50}} }]',
        "vendor_thing": b'{"a" :  [1.0, 1e3, 12345678901234567890123], "b":"\\u00e9\\/"}',
        "seed": b"9007199254740993",
    }
    body = b'{"messages":[{"role":"user","content":"Hi"}]'
    body += b"".join(b',"%s":%s' % (name.encode(), value) for name, value in raw.items()) + b"}"
    request = dialect.request(decoded(body), target(), output_tokens_max=None)
    for name, value in raw.items():
        assert b'"%s":%s' % (name.encode(), value) in request.body


words = st.text(max_size=5)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(words.map("x_".__add__), json_values, max_size=3))
def test_any_other_field_arrives_as_it_was(fields):
    arrived = sent(chat(**fields))
    assert {name: arrived[name] for name in fields} == fields


def test_our_own_fields_stay_here():
    ours = {
        "provider": "openai",
        "routing_policy": "cost",
        "tenant_id": "acme",
        "model_family": "gpt-4o",
        "capabilities": ["tools"],
        "max_cost_per_token": "0.01",
        "request_id": "mine",
    }
    assert ours.keys() == OWN_FIELDS
    assert sent(chat(**ours, user="alice")).keys() == {"messages", "model", "user"}


def test_the_model_is_the_upstreams():
    assert sent(chat(), upstream_model="vendor/a:free")["model"] == "vendor/a:free"
    assert sent(chat(model="gpt-4o-mini"))["model"] == "gpt-4o-mini-2024-07-18"


@pytest.mark.parametrize("key", [b'"n"', b'"\\u006e"'])
def test_a_field_named_twice_has_the_meaning_that_we_priced(key):
    body = b'{"messages":[{"role":"user","content":"Hi"}],"n":128,' + key + b":1}"
    call = decoded(body)
    request = dialect.request(call, target(), output_tokens_max=None)
    pairs = json.loads(request.body, object_pairs_hook=list)
    assert [value for name, value in pairs if name == "n"] == [call.request.n] == [1]


def test_messages_named_twice_are_sent_once():
    body = (
        b'{"messages":[{"role":"user","content":"long"}],'
        b'"messages":[{"role":"user","content":"Hi"}]}'
    )
    request = dialect.request(decoded(body), target(), output_tokens_max=None)
    assert request.body.count(b'"messages"') == 1
    assert json.loads(request.body)["messages"][0]["content"] == "Hi"


@pytest.mark.parametrize(
    ("asked", "arrives"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        (
            {"stream_options": {"include_obfuscation": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
        ({"stream_options": {"new_thing": [1]}}, {"new_thing": [1], "include_usage": True}),
    ],
)
def test_a_stream_is_always_asked_for_its_usage(asked, arrives):
    assert sent(chat(stream=True, **asked))["stream_options"] == arrives


def test_what_is_no_stream_has_no_stream_options():
    assert "stream_options" not in sent(chat())
    assert "stream_options" not in sent(chat(stream=False))


def test_a_cap_is_imposed_where_there_is_one():
    assert sent(chat(), cap=100)["max_completion_tokens"] == 100
    assert "max_completion_tokens" not in sent(chat())
    assert sent(chat(max_tokens=7))["max_tokens"] == 7
