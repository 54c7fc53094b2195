"""What vendors leave out or do otherwise is mended where their row says so, and nowhere else.

The judge is the official SDK's own way to put a stream together (`chat.completions.stream`).
"""

import json

import httpx2
import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from providers.dialects import DIALECTS, dialect_of
from providers.dialects.quirks import Quirks
from runestone.lib.errors import UpstreamRefused
from runestone.lib.usage import Usage
from runestone.local import vendors
from tests.providers.calls import chat, recording, target
from tests.providers.contract import WITH_USAGE, heard

# As the seeded rows have them; Moonshot has none.
QUIRKS = {vendor.slug: vendor.quirks for vendor in vendors.known()} | {
    "moonshot": {"mend": ["usage"]}
}
STREAMS = [
    "mistral/stream_tools",
    "mistral/stream_fragments",
    "mistral/stream_thinking",
    "together/stream",
    "groq/stream",
    "openrouter/stream",
    "deepseek/stream",
    "moonshot/stream",
    "gemini/stream_tools",
]


def dialect(quirks):
    return dialect_of(target(quirks=msgspec.convert(quirks, Quirks)))


def relayed(name, **fields):
    return heard(dialect(QUIRKS[name.split("/")[0]]), [recording(name)], **fields)


def put_together(data: bytes):
    """The completion that the SDK makes of a stream."""
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=data))
    with (
        openai.OpenAI(
            api_key="x", base_url="http://x", http_client=httpx2.Client(transport=transport)
        ) as client,
        client.chat.completions.stream(model="m", messages=[]) as stream,
    ):
        return stream.get_final_completion()


@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_can_put_it_together(name):
    got = relayed(name, **WITH_USAGE)
    assert got.failure is None
    for chunk in got.chunks:
        ChatCompletionChunk.model_validate(chunk)
    completion = put_together(got.data)
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].finish_reason in ("stop", "length", "tool_calls")
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == got.usages[-1].input_tokens


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("mistral/stream_tools", Usage(input_tokens=96, output_tokens=23)),
        (
            "mistral/stream_fragments",
            Usage(input_tokens=171, cached_input_tokens=128, output_tokens=14),
        ),
        ("together/stream", Usage(input_tokens=9, cached_input_tokens=8, output_tokens=2)),
        ("groq/stream", Usage(input_tokens=9, output_tokens=2)),
        (
            "openrouter/stream",
            Usage(input_tokens=43, cached_input_tokens=40, output_tokens=10, reasoning_tokens=4),
        ),
        (
            "deepseek/stream",
            Usage(
                input_tokens=563, cached_input_tokens=512, output_tokens=116, reasoning_tokens=60
            ),
        ),
        ("moonshot/stream", Usage(input_tokens=9, cached_input_tokens=4, output_tokens=2)),
        ("gemini/stream_tools", Usage(input_tokens=9, output_tokens=6)),
    ],
)
def test_usage_is_read_right_with_and_without_mending(name, usage):
    assert relayed(name).usages[-1] == usage
    assert heard(dialect({}), [recording(name)]).usages[-1] == usage


@pytest.mark.parametrize("name", [each for each in STREAMS if "openrouter" not in each])
def test_who_does_not_ask_for_usage_gets_none(name):
    assert not any("usage" in chunk for chunk in relayed(name).chunks)


@pytest.mark.parametrize("name", [each for each in STREAMS if "openrouter" not in each])
def test_who_asks_for_usage_gets_it_last_and_alone(name):
    *ordinary, last = relayed(name, **WITH_USAGE).chunks
    assert last["choices"] == []
    assert last["id"] == ordinary[0]["id"]
    finishing = [chunk for chunk in ordinary if chunk["choices"][0]["finish_reason"]]
    assert [chunk["usage"] for chunk in finishing] == [None]


def test_usage_that_is_told_in_two_places_is_told_once():
    """Newer Groq: beside the reason to finish, and in a chunk of its own."""
    twice = b'{"id":"g","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}'
    end = b"data: [DONE]"
    stream = recording("groq/stream").replace(end, b"data: " + twice + b"\n\n" + end)
    got = heard(dialect(QUIRKS["groq"]), [stream], **WITH_USAGE)
    assert [bool(chunk.get("usage")) for chunk in got.chunks].count(True) == 1
    assert got.usages == [Usage(input_tokens=9, output_tokens=2)]


@pytest.mark.parametrize("name", ["together/stream", "moonshot/stream", "deepseek/stream"])
def test_cached_tokens_are_where_openai_has_them(name):
    got = relayed(name, **WITH_USAGE)
    told = got.chunks[-1]["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert told == got.usages[-1].cached_input_tokens > 0


@pytest.mark.parametrize("name", STREAMS)
def test_bytes_may_be_cut_anywhere(name):
    stream, spoken = recording(name), dialect(QUIRKS[name.split("/")[0]])
    whole = heard(spoken, [stream], **WITH_USAGE)
    pieces = [stream[start : start + 7] for start in range(0, len(stream), 7)]
    assert heard(spoken, pieces, **WITH_USAGE).data == whole.data


def test_tool_calls_get_their_index_and_type():
    calls = put_together(relayed("mistral/stream_tools").data).choices[0].message.tool_calls
    assert [(call.id, call.type, call.function.name) for call in calls] == [
        ("EscTeQY62", "function", "get_weather"),
        ("Zb81xPq0a", "function", "get_time"),
    ]


def test_unmended_they_break_the_sdk():
    with pytest.raises(TypeError):
        put_together(recording("mistral/stream_tools"))


def test_calls_that_share_an_index_are_told_apart_by_their_ids():
    calls = put_together(relayed("gemini/stream_tools").data).choices[0].message.tool_calls
    assert [(call.id, call.function.arguments) for call in calls] == [
        ("a", '{"city":"Paris"}'),
        ("b", "{}"),
    ]


def test_fragments_of_a_call_are_one_call():
    [call] = put_together(relayed("mistral/stream_fragments").data).choices[0].message.tool_calls
    assert (call.id, call.function.name) == ("call-1", "search")
    assert call.function.arguments == '{"query": "Berlin"}'


def delta(**fields):
    choice = {"index": 0, "delta": fields, "finish_reason": None}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"


END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'


def test_an_id_and_a_name_that_are_repeated_are_told_once():
    def call(arguments):
        function = {"name": "f", "arguments": arguments}
        return {"index": 0, "id": "a", "type": "function", "function": function}

    stream = delta(tool_calls=[call(None)]) + delta(tool_calls=[call("{}")]) + END
    got = heard(dialect({"mend": ["tool_calls"]}), [stream])
    [made] = put_together(got.data).choices[0].message.tool_calls
    assert (made.id, made.function.name, made.function.arguments) == ("a", "f", "{}")


def test_a_role_is_told_once_for_each_choice():
    got = relayed("together/stream")
    assert put_together(got.data).choices[0].message.role == "assistant"
    assert put_together(recording("together/stream")).choices[0].message.role != "assistant"


def test_thinking_in_parts_becomes_text_of_its_own():
    got = relayed("mistral/stream_thinking")
    deltas = [choice["delta"] for chunk in got.chunks for choice in chunk["choices"]]
    assert "".join(each.get("reasoning_content", "") for each in deltas) == "2 and 2 is 4."
    assert got.text == "4"


def test_reasons_to_finish_are_told_in_openais_words():
    stream = delta(content="x") + END.replace(b"tool_calls", b"model_length")
    got = heard(dialect(QUIRKS["mistral"]), [stream])
    assert got.chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_a_whole_answer_is_mended_too():
    answer = dialect(QUIRKS["mistral"]).answer(chat(), recording("mistral/answer_thinking"))
    said = ChatCompletion.model_validate_json(answer.body).choices[0].message
    assert said.content == "4"
    assert said.model_extra["reasoning_content"] == "2 and 2 is 4."
    assert b'"tool_calls"' not in answer.body
    assert answer.usage == Usage(input_tokens=28, output_tokens=35)


def test_calls_of_a_whole_answer_are_complete():
    message = {
        "role": "assistant",
        "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": None}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }
    choice = {"index": 0, "message": message, "finish_reason": "eos"}
    whole = {"choices": [choice], "usage": {"prompt_tokens": 5, "cached_tokens": 3}}
    quirks = {"mend": ["tool_calls", "usage"], "finish_reasons": {"eos": "stop"}}
    answer = json.loads(dialect(quirks).answer(chat(), json.dumps(whole).encode()).body)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}
    calls = answer["choices"][0]["message"]["tool_calls"]
    assert calls == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


@pytest.mark.parametrize("name", ["openrouter/stream_failure", "groq/stream_failure"])
def test_an_error_in_the_middle_ends_the_stream(name):
    got = relayed(name)
    assert isinstance(got.failure, UpstreamRefused)
    assert b"error" not in got.data
    if "openrouter" in name:
        assert got.text == "Hello"
        assert got.usages[-1].output_tokens == 10


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": "none"},
        {"choices": [1, None, {"index": "x", "delta": [], "finish_reason": ["a"]}]},
        {"choices": [{"delta": {"tool_calls": [{"id": 7, "index": [], "function": "f"}]}}]},
        {"choices": [{"delta": {"content": [1, {"type": "thinking", "thinking": 3}]}}]},
        {"choices": [{"index": [], "delta": {"role": {}}}], "x_groq": [], "usage": []},
    ],
)
def test_what_it_does_not_understand_stays(odd):
    quirks = {"mend": ["content", "roles", "tool_calls", "usage"]}
    got = heard(dialect(quirks), [b"data: " + json.dumps(odd).encode() + b"\n\n"])
    assert len(got.chunks) == 1


def test_events_in_anthropics_own_words_pass():
    call = msgspec.structs.replace(chat(stream=True), native={"stream": msgspec.Raw(b"true")})
    quirks = msgspec.convert({"mend": ["usage", "roles"]}, Quirks)
    spoken = dialect_of(target(dialect="anthropic", quirks=quirks))
    stream = recording("anthropic/stream")
    assert (
        spoken.relay(call).feed(stream).data == DIALECTS["anthropic"].relay(call).feed(stream).data
    )


def test_without_a_mend_nothing_is_touched():
    spoken = dialect({"drop_fields": ["store"]})
    body = recording("mistral/answer_thinking")
    assert spoken.answer(chat(), body).body is body
