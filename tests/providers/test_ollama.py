"""Ollama's own wire, with recordings that cover what its servers were seen to send."""

import base64
import json
import struct

import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from api.requests import decode
from providers.dialects.ollama import OllamaDialect
from providers.dialects.ollama.messages import INVALID_JSON
from providers.dialects.quirks import Quirks
from providers.wire import EMBEDDING
from runestone.lib.errors import BadRequest, UpstreamBroken, UpstreamRefused
from runestone.lib.usage import Usage
from tests.providers.calls import chat, recording, target
from tests.providers.contract import WITH_USAGE, heard

dialect = OllamaDialect()
HOME = "http://localhost:11434"
PIXEL = "iVBORw0KGgo="


def sent(*, cap=None, call=None, quirks=None, **fields):
    to = target(base_url=HOME, **({"quirks": quirks} if quirks else {}))
    return json.loads(dialect.request(call or chat(**fields), to, output_tokens_max=cap).body)


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def tool(name="get_weather", **function):
    return {"type": "function", "function": {"name": name, **function}}


def refused(**fields):
    with pytest.raises(BadRequest) as caught:
        sent(**fields)
    assert caught.value.status == 400
    return caught.value.param


# Requests.


def test_it_works():
    request = dialect.request(chat(model="x"), target(base_url=HOME), output_tokens_max=None)
    assert request.url == "http://localhost:11434/api/chat"
    assert json.loads(request.body) == {
        "model": "gpt-4o-mini-2024-07-18",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
    }


def test_it_streams_only_when_asked():
    assert sent(stream=True)["stream"] is True
    assert sent()["stream"] is False


def test_sampling_is_an_option_of_the_model():
    asked = {
        "temperature": 0.5, "top_p": 0.9, "seed": 7, "presence_penalty": 1,
        "frequency_penalty": -1, "stop": "END", "max_tokens": 5,
    }  # fmt: skip
    assert sent(**asked)["options"] == {
        "temperature": 0.5, "top_p": 0.9, "seed": 7, "presence_penalty": 1,
        "frequency_penalty": -1, "stop": ["END"], "num_predict": 5,
    }  # fmt: skip


def test_a_cap_that_is_imposed_is_told():
    assert sent(cap=9)["options"] == {"num_predict": 9}


def test_its_own_fields_may_be_given():
    arrived = sent(options={"num_ctx": 8192, "temperature": 1}, keep_alive="5m", temperature=0)
    assert arrived["options"] == {"num_ctx": 8192, "temperature": 0}
    assert arrived["keep_alive"] == "5m"


@pytest.mark.parametrize("field", ["options", "keep_alive"])
def test_null_is_absent(field):
    assert field not in sent(**{field: None})


def test_options_are_an_object():
    assert refused(options=[1]) == "options"


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("medium", "medium"), ("max", "high")],
)
def test_effort_is_how_much_it_thinks(effort, think):
    assert sent(reasoning_effort=effort)["think"] == think


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "json"),
    ],
)
def test_the_form_of_the_answer(asked, told):
    assert sent(response_format=asked)["format"] == told
    assert "format" not in sent(response_format={"type": "text"})


def test_texts_join_and_images_stand_beside_them():
    text = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    [message] = sent(messages=user(*text, image(f"data:image/png;base64,{PIXEL}")))["messages"]
    assert message == {"role": "user", "content": "one\ntwo", "images": [PIXEL]}


@pytest.mark.parametrize("url", ["https://x.test/y.png", "data:image/png,raw", "file:///etc/x"])
def test_an_image_by_url_is_refused_with_its_place(url):
    path = refused(messages=user({"type": "text", "text": "what?"}, image(url)))
    assert path == "messages[0].content[1].image_url.url"


def test_a_turn_with_tools():
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    told = sent(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
            {"role": "tool", "tool_call_id": "unknown", "content": "43"},
        ],
        tools=[tool(parameters=SCHEMA, strict=True)],
    )
    assert told["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "42", "tool_name": "f"},
        {"role": "tool", "content": "43"},
    ]
    [described] = told["tools"]
    assert described["function"] == {
        "name": "get_weather",
        "description": "",
        "parameters": SCHEMA,
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [("", {}), ("  ", {}), ('{"a":', {INVALID_JSON: '{"a":'}), ("[1]", {INVALID_JSON: "[1]"})],
)
def test_arguments_that_are_no_object(arguments, told):
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    [message] = sent(messages=[{"role": "assistant", "tool_calls": [call]}])["messages"]
    assert message["tool_calls"][0]["function"]["arguments"] == told


def test_tools_that_must_not_be_called_are_not_told():
    assert "tools" not in sent(tools=[tool()], tool_choice="none")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"tools": [tool()], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        (
            {"messages": [{"role": "function", "name": "f", "content": "x"}]},
            "messages[0].role",
        ),
        (
            {
                "messages": user(
                    {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
                )
            },
            "messages[0].content[0].type",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_cannot_do_is_refused_by_name(fields, param):
    assert refused(**fields) == param


def test_what_says_nothing_passes():
    arrived = sent(
        n=1, logprobs=False, logit_bias={}, store=True, user="u", metadata={"a": "b"}, seed=None
    )
    assert arrived.keys() == {"model", "messages", "stream"}


def test_quirks_are_of_its_own_fields():
    assert "think" not in sent(reasoning_effort="low", quirks=Quirks(drop_fields={"think"}))


# Answers.


def test_an_answer_with_tools():
    answer = dialect.answer(chat(), recording("ollama/answer_tools"))
    choice = ChatCompletion.model_validate_json(answer.body).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.model_extra["reasoning_content"] == "Two calls."
    weather, time = choice.message.tool_calls
    assert json.loads(weather.function.arguments) == {"city": "Łódź", "days": 2}
    assert time.function.arguments == "{}"
    assert len({weather.id, time.id}) == 2


def test_a_prompt_from_the_cache_is_not_told_and_so_is_counted():
    answer = dialect.answer(chat(), recording("ollama/answer_cached"))
    assert answer.usage is None
    assert "usage" not in json.loads(answer.body)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("stop", "stop"), ("length", "length"), ("load", "stop"), ("unload", "stop"), (None, "stop")],
)
def test_reasons_to_finish(reason, finish):
    body = json.loads(recording("ollama/answer")) | {"done_reason": reason}
    answer = dialect.answer(chat(), json.dumps(body).encode())
    assert json.loads(answer.body)["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize("figures", [{"eval_count": -1}, {"prompt_eval_count": 10**12}])
def test_figures_that_cannot_be_true_are_no_usage(figures):
    body = json.loads(recording("ollama/answer")) | figures
    assert dialect.answer(chat(), json.dumps(body).encode()).usage is None


def test_an_answer_that_is_not_done_is_broken():
    body = json.loads(recording("ollama/answer")) | {"done": False}
    with pytest.raises(UpstreamBroken):
        dialect.answer(chat(), json.dumps(body).encode())


def test_the_same_answer_has_the_same_name_and_another_has_another():
    first = json.loads(dialect.answer(chat(), recording("ollama/answer")).body)
    again = json.loads(dialect.answer(chat(), recording("ollama/answer")).body)
    other = json.loads(dialect.answer(chat(), recording("ollama/answer_tools")).body)
    assert first["id"] == again["id"] != other["id"]
    assert first["created"] == 1780000006


# Streams.


def test_thinking_is_told_apart():
    got = heard(dialect, [recording("ollama/stream_thinking")])
    deltas = [choice["delta"] for chunk in got.chunks for choice in chunk["choices"]]
    assert "".join(each.get("reasoning_content", "") for each in deltas) == "Let me see."
    assert got.text == "4"
    assert got.usages == [Usage(input_tokens=9, output_tokens=5)]


def test_tools_are_numbered_over_the_whole_stream():
    got = heard(dialect, [recording("ollama/stream_tools")], **WITH_USAGE)
    calls = [
        call
        for chunk in got.chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    assert [(call["index"], call["function"]["name"]) for call in calls] == [
        (0, "get_weather"),
        (1, "get_time"),
    ]
    assert len({call["id"] for call in calls}) == 2
    assert got.chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_lines_may_end_as_they_like():
    stream = recording("ollama/stream")
    assert heard(dialect, [stream.replace(b"\n", b"\r\n\r\n")]).text == "Hello there"


def test_a_stream_without_figures_has_no_usage():
    lines = recording("ollama/stream").splitlines()
    last = {"model": "m", "created_at": "", "message": {"content": ""}, "done": True}
    got = heard(dialect, [b"\n".join([*lines[:-1], json.dumps(last).encode(), b""])], **WITH_USAGE)
    assert (got.usages, got.failure) == ([], None)
    assert got.chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert got.text_bytes == len("Hello there")


def test_a_line_without_end_is_not_gathered_for_ever(monkeypatch):
    monkeypatch.setattr("providers.dialects.ollama.streams.LINE_BYTES_MAX", 1_000)
    assert isinstance(heard(dialect, [b"x" * 600, b"x" * 600]).failure, UpstreamBroken)


# Embeddings.


def embed(**fields):
    return decode(EMBEDDING, json.dumps({"input": ["a", "b"], **fields}).encode())


def test_embeddings():
    request = dialect.request(embed(dimensions=3), target(base_url=HOME), output_tokens_max=None)
    assert request.url == f"{HOME}/api/embed"
    assert json.loads(request.body) == {
        "model": "gpt-4o-mini-2024-07-18",
        "input": ["a", "b"],
        "dimensions": 3,
        "truncate": False,
    }
    answer = dialect.answer(embed(), recording("ollama/embeddings"))
    told = CreateEmbeddingResponse.model_validate_json(answer.body)
    assert [each.embedding for each in told.data] == [[0.5, -0.25, 0.125], [1.0, 0.0, -1.0]]
    assert told.usage.prompt_tokens == 8
    assert answer.usage == Usage(input_tokens=8)


def test_embeddings_in_base64():
    answer = dialect.answer(embed(encoding_format="base64"), recording("ollama/embeddings"))
    [first, _] = json.loads(answer.body)["data"]
    assert struct.unpack("<3f", base64.b64decode(first["embedding"])) == (0.5, -0.25, 0.125)


def test_an_input_of_tokens_is_refused():
    assert refused(call=embed(input=[1, 2])) == "input"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"embeddings":[[1]]}',
        b'{"embeddings":[["x"],[1]]}',
        b'{"embeddings":[[1e39],[1]]}',
    ],
)
def test_what_is_not_an_embedding_of_each_input_is_broken(body):
    with pytest.raises(UpstreamBroken):
        dialect.answer(embed(encoding_format="base64"), body)


def test_an_error_under_a_200_is_a_refusal():
    for call in (chat(), embed()):
        with pytest.raises(UpstreamRefused):
            dialect.answer(call, b'{"error":"out of memory"}')
