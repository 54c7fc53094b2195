"""Recordings of Anthropic's live traffic, where there are some: requests, answers and errors.

See test_foreign_recordings.py. Each goes both ways: in its own words, and translated.
"""

import json
from typing import Any, cast

import msgspec
import pytest

from api.messages import chat
from api.messages.wire import MessagesRequest
from api.requests import Call
from providers.dialects.anthropic import AnthropicDialect
from providers.wire import CHAT, ModelCall
from runestone.lib.sse import Reader
from tests.providers.calls import target
from tests.providers.contract import cut, heard
from tests.providers.test_foreign_recordings import body_of, recordings

DIALECT = AnthropicDialect()
API = {"messages"}
ANSWERS = recordings(ok=True, streamed=False, apis=API)
STREAMS = recordings(ok=True, streamed=True, apis=API)
LEAST = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
# Told in other words: the instructions as blocks, how hard to think as an effort; or not at all.
RETOLD = {"messages", "stream", "system", "thinking", "top_k"}


def asked(recording: dict[str, Any]) -> tuple[dict[str, Any], ModelCall]:
    """What was asked, and what our door for such requests makes of it."""
    body = LEAST | (recording["request"] or {}).get("body", {})
    call = Call({"content-type": "application/json"}, json.dumps(body).encode())
    decoded = chat.decoded(call, chat.MESSAGES)
    translated = chat.chat_body(cast(MessagesRequest, decoded.request), decoded.fields)
    return body, call.translated(translated, chat.native_fields(decoded.fields)).decoded(CHAT)


def in_chats_words(call: ModelCall) -> ModelCall:
    return msgspec.structs.replace(call, native=None)


def sent(call: ModelCall, model: str) -> dict[str, Any]:
    request = DIALECT.request(call, target(upstream_model=model), output_tokens_max=None)
    return json.loads(request.body)


def blocks(content: Any) -> list[dict[str, Any]]:
    """What a model reads of a content."""
    given = [{"type": "text", "text": content}] if isinstance(content, str) else content
    unread = {"is_error", "cache_control"}
    return [
        {name: value for name, value in block.items() if name not in unread}
        | ({"content": blocks(block["content"])} if "content" in block else {})
        for block in given
    ]


def gathered(stream: bytes) -> dict[str, Any]:
    """The message that Anthropic's events stand for."""
    message: dict[str, Any] = {}
    for event in Reader().feed(stream + b"\n\n"):
        match json.loads(event.data):
            case {"type": "message_start", "message": start}:
                message = start
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(block | {"json": ""})
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                block = message["content"][index]
                for name, text in delta.items():
                    if name == "partial_json":
                        block["json"] += text
                    elif name != "type":
                        block[name] = block[name] + text
            case {"type": "message_delta", "delta": ending, "usage": usage}:
                message |= ending
                message["usage"] |= usage
    return message


def assert_said(said: dict[str, Any], message: dict[str, Any]) -> None:
    """All that the message's blocks say is in the chat message."""
    of: dict[str, list[dict[str, Any]]] = {}
    for block in message["content"]:
        of.setdefault(block["type"], []).append(block)
    assert (said["content"] or "") == "".join(block["text"] for block in of.pop("text", []))
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in said.get("tool_calls", ())
    ]
    assert calls == [
        (block["id"], block["name"], json.loads(block.get("json") or "null") or block["input"])
        for block in of.pop("tool_use", [])
    ]
    kept = {"text": "", "signature": "", "data": ""}
    for detail in said.get("reasoning_details", ()):
        kept = {name: text + (detail.get(name) or "") for name, text in kept.items()}
    thoughts = of.pop("thinking", [])
    assert kept == {
        "text": "".join(block["thinking"] for block in thoughts),
        "signature": "".join(block["signature"] for block in thoughts),
        "data": "".join(block["data"] for block in of.pop("redacted_thinking", [])),
    }
    assert not of


@pytest.mark.parametrize("recording", [*ANSWERS, *STREAMS])
def test_a_request_comes_through(recording: dict[str, Any]):
    body, call = asked(recording)
    assert sent(call, body["model"]) == body

    translated = sent(in_chats_words(call), body["model"])
    for name in body.keys() - RETOLD:
        assert translated[name] == body[name], name
    for ours, theirs in zip(translated["messages"], body["messages"], strict=True):
        assert ours["role"] == theirs["role"]
        assert blocks(ours["content"]) == blocks(theirs["content"])
    assert blocks(translated.get("system", [])) == blocks(body.get("system", []))
    assert ("thinking" in translated) == ("thinking" in body)


@pytest.mark.parametrize("recording", ANSWERS)
def test_an_answer_loses_nothing(recording: dict[str, Any]):
    _, call = asked(recording)
    body, message = body_of(recording), recording["response"]["body_json"]
    assert DIALECT.answer(call, body).body == body

    answer = DIALECT.answer(in_chats_words(call), body)
    [choice] = json.loads(answer.body)["choices"]
    assert_said(choice["message"], message)
    assert choice.get("stop_reason") == message["stop_sequence"]
    assert answer.usage is not None
    assert answer.usage.output_tokens == message["usage"]["output_tokens"]


@pytest.mark.parametrize("piece", [1_000_000, 1_000, 7])
@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_loses_nothing(recording: dict[str, Any], piece: int):
    body = body_of(recording)
    message = gathered(body)
    relayed = DIALECT.relay(asked(recording)[1]).feed(body + b"\n\n")
    assert gathered(relayed.data) == message

    got = heard(DIALECT, cut(body, range(piece, len(body), piece)))
    assert got.failure is None
    said: dict[str, Any] = {"content": "", "tool_calls": [], "reasoning_details": []}
    for delta in (choice["delta"] for chunk in got.chunks for choice in chunk["choices"]):
        said["content"] += delta.get("content") or ""
        said["reasoning_details"] += delta.get("reasoning_details", [])
        for fragment in delta.get("tool_calls", ()):
            if "id" in fragment:
                said["tool_calls"].append(fragment)
            else:
                function = said["tool_calls"][fragment["index"]]["function"]
                function["arguments"] += fragment["function"]["arguments"]
    assert_said(said, message)
    figures = message["usage"]
    written = figures.get("cache_creation_input_tokens", 0)
    cached = figures.get("cache_read_input_tokens", 0)
    assert got.usages[-1].input_tokens == figures["input_tokens"] + cached + written
    assert got.usages[-1].cache_write_tokens == written
    assert got.usages[-1].output_tokens == figures["output_tokens"]


@pytest.mark.parametrize("recording", recordings(ok=False, streamed=False, apis=API))
def test_a_refusal_becomes_one_of_ours(recording: dict[str, Any]):
    status = recording["response"]["status"]
    error = DIALECT.error(status, {}, body_of(recording))
    assert error.message
    assert error.status == {401: 502, 404: 502, 529: 503}[status]
