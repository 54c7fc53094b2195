import json

import pytest

from providers.dialects import DIALECTS
from providers.dialects.echo import EchoDialect, respond
from runestone.lib.sse import Reader
from runestone.lib.usage import Usage
from tests.providers.calls import chat, target

dialect = EchoDialect()


def echoed(**fields):
    """The whole of what the echo answers to a call."""
    call = chat(**fields)
    request = dialect.request(call, target(base_url="echo://"), output_tokens_max=None)
    return call, list(respond(request))


def user(content):
    return {"role": "user", "content": content}


def test_it_works():
    call, [body] = echoed(messages=[user("one two three")])
    answer = dialect.answer(call, body)
    said = json.loads(answer.body)
    assert said["choices"][0]["message"]["content"] == "one two three"
    assert said["choices"][0]["finish_reason"] == "stop"
    assert said["model"] == "gpt-4o-mini-2024-07-18"
    assert answer.usage == Usage(input_tokens=3, output_tokens=3)


def test_it_is_a_dialect_of_its_own():
    assert DIALECTS["echo"].name == "echo"


def test_it_streams_what_it_would_have_said():
    call, pieces = echoed(messages=[user("one two three")], stream=True)
    relay = dialect.relay(call)
    relayed = [relay.feed(piece) for piece in pieces]
    events = [event.data for each in relayed for event in Reader().feed(each.data)]
    *chunks, done = events
    deltas = [json.loads(chunk)["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == "one two three"
    assert done == b"[DONE]"
    assert relayed[-1].done
    usages = [each.usage for each in relayed if each.usage]
    assert usages == [Usage(input_tokens=3, output_tokens=3)]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_it_obeys_a_cap(field):
    call, [body] = echoed(messages=[user("one two three")], **{field: 2})
    answer = dialect.answer(call, body)
    said = json.loads(answer.body)["choices"][0]
    assert (said["message"]["content"], said["finish_reason"]) == ("one two", "length")
    assert answer.usage == Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([user("first"), {"role": "assistant", "content": "x"}, user("last")], "last"),
        ([user("hello"), {"role": "system", "content": "x"}], "hello"),
        ([user([{"type": "text", "text": "a b"}, {"type": "text", "text": "c"}])], "a b c"),
        ([user([{"type": "image_url", "image_url": {"url": "https://x.test/y"}}])], ""),
        ([{"role": "system", "content": "nobody asked"}], ""),
        ([user("")], ""),
    ],
)
def test_it_repeats_the_last_words_of_the_user(messages, said):
    _, [body] = echoed(messages=messages)
    assert json.loads(body)["choices"][0]["message"]["content"] == said
