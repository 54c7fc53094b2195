"""Recordings of live traffic, where there are some: nothing of theirs is lost on the way.

RUNESTONE_RECORDINGS names a folder of JSON files {api, provider, response: {status, framing,
body_text | body_json | chunks}}. The project's own recordings, beside this file, cover the same
cases without it.
"""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from api.requests import decode
from providers.dialects import Dialect, dialect_of
from providers.dialects.ollama import OllamaDialect
from providers.dialects.openai import OpenAIDialect
from providers.dialects.quirks import Quirks
from providers.wire import CHAT, COMPLETION, EMBEDDING, ModelCall
from runestone.lib import sse
from runestone.lib.errors import UpstreamBroken, UpstreamError
from runestone.local import vendors
from tests.providers.calls import chat, target
from tests.providers.contract import WITH_USAGE, heard
from tests.providers.test_mending import put_together

FOLDER = Path(os.environ.get("RUNESTONE_RECORDINGS", "/nonexistent"))
WHOLE = ("json",)
ASKED = {
    "chat": (CHAT, {"messages": [{"role": "user", "content": "x"}]}),
    "completions": (COMPLETION, {"prompt": "x"}),
    "embeddings": (EMBEDDING, {"input": "x"}),
}


def recordings(*, ok: bool, streamed: bool, apis: Collection[str] = ASKED) -> list[Any]:
    found = (json.loads(path.read_text()) for path in sorted(FOLDER.glob("*-*.json")))
    chosen = [
        pytest.param(each, id=each["id"])
        for each in found
        if each["api"] in apis
        and (each["response"]["status"] == 200) == ok
        and (each["response"]["framing"] not in WHOLE) == streamed
    ]
    none = pytest.mark.skip(reason="RUNESTONE_RECORDINGS names no recordings")
    return chosen or [pytest.param(None, marks=none)]


def asked(recording: dict[str, Any], **fields: Any) -> ModelCall:
    operation, body = ASKED[recording["api"]]
    return decode(operation, json.dumps(body | fields).encode())


def body_of(recording: dict[str, Any]) -> bytes:
    response = recording["response"]
    if "chunks" in response:
        texts = (each if isinstance(each, str) else json.dumps(each) for each in response["chunks"])
        return "".join(f"data: {text.strip()}\n\n" for text in texts).encode()
    if "body_text" in response:
        return str(response["body_text"]).encode()
    return json.dumps(response["body_json"]).encode()


@pytest.mark.parametrize("recording", recordings(ok=True, streamed=False))
def test_an_answer_passes_as_it_is(recording: dict[str, Any]):
    body = body_of(recording)
    if json.loads(body).get("error"):
        with pytest.raises(UpstreamError):
            OpenAIDialect().answer(asked(recording), body)
        return
    answer = OpenAIDialect().answer(asked(recording), body)
    assert answer.body == body
    figures = json.loads(body).get("usage")
    assert (answer.usage is None) == (figures is None)
    if answer.usage is not None:
        assert answer.usage.input_tokens == figures["prompt_tokens"]


@pytest.mark.parametrize("piece", [1_000_000, 1_000, 7])
@pytest.mark.parametrize("recording", recordings(ok=True, streamed=True))
def test_a_stream_passes_event_by_event(recording: dict[str, Any], piece: int):
    body = body_of(recording)
    relay = OpenAIDialect().relay(
        asked(recording, stream=True, stream_options={"include_usage": True})
    )
    relayed, usage, failure, done = b"", None, None, False
    for start in range(0, len(body), piece):
        if failure is None and not done:
            data, said, _, _, done, failure = relay.feed(body[start : start + piece])
            relayed, usage = relayed + data, said or usage
    if failure is None and not done:
        try:
            relayed += relay.finish()
        except UpstreamBroken as error:
            failure = error

    sent = [event.data for event in sse.Reader().feed(body + b"\n\n")]
    got = [event.data for event in sse.Reader().feed(relayed)]
    broken = any(b'"error":' in each and json.loads(each).get("error") for each in sent[:-1])
    assert (failure is not None) == broken
    if broken:
        assert got == sent[: len(got)]
        return
    assert got[-1] == sse.DONE
    assert got[:-1] == [each for each in sent if each != sse.DONE]
    if any(b'"usage":{' in each.replace(b" ", b"") for each in sent):
        assert usage is not None


@pytest.mark.parametrize("recording", recordings(ok=False, streamed=False))
def test_a_refusal_becomes_one_of_ours(recording: dict[str, Any]):
    status = recording["response"]["status"]
    error = OpenAIDialect().error(status, {}, body_of(recording))
    assert error.message
    # Between us and the provider, a key or a route is wrong: no caller can mend that.
    assert error.status == {401: 502, 403: 502, 404: 502}.get(status, status)


# The same, as the vendor's own row has it read.


def as_its_row_has_it(recording: dict[str, Any]) -> Dialect:
    rows = {vendor.slug: vendor for vendor in vendors.known()}
    row = rows.get(recording["provider"])
    if row is None or row.dialect not in ("openai", "azure"):
        return OpenAIDialect()
    quirks = msgspec.convert(row.quirks, Quirks)
    return dialect_of(target(upstream=row.slug, dialect=row.dialect, quirks=quirks))


@pytest.mark.parametrize("recording", recordings(ok=True, streamed=False, apis=["chat"]))
def test_an_answer_is_what_the_sdk_knows(recording: dict[str, Any]):
    body = body_of(recording)
    if json.loads(body).get("error"):
        return
    answer = as_its_row_has_it(recording).answer(chat(), body)
    said = ChatCompletion.model_validate_json(answer.body).choices[0].message
    assert said.content or said.tool_calls or said.refusal or said.function_call


@pytest.mark.parametrize("recording", recordings(ok=True, streamed=True, apis=["chat"]))
def test_a_stream_is_what_the_sdk_can_put_together(recording: dict[str, Any]):
    got = heard(as_its_row_has_it(recording), [body_of(recording)], **WITH_USAGE)
    for chunk in got.chunks:
        ChatCompletionChunk.model_validate(chunk)
    if got.failure is None:
        message = put_together(got.data).choices[0].message
        assert message.role == "assistant"
        assert message.content or message.tool_calls or message.refusal


# Ollama's own wire.


@pytest.mark.parametrize("recording", recordings(ok=True, streamed=False, apis=["api/chat"]))
def test_an_answer_of_ollamas(recording: dict[str, Any]):
    body = json.loads(body_of(recording))
    answer = OllamaDialect().answer(chat(), body_of(recording))
    said = ChatCompletion.model_validate_json(answer.body).choices[0].message
    assert said.content == body["message"]["content"]
    assert answer.usage is not None
    assert answer.usage.input_tokens == body["prompt_eval_count"]
    assert answer.usage.output_tokens == body["eval_count"]


@pytest.mark.parametrize("piece", [1_000_000, 1_000, 7])
@pytest.mark.parametrize("recording", recordings(ok=True, streamed=True, apis=["api/chat"]))
def test_a_stream_of_ollamas(recording: dict[str, Any], piece: int):
    body = body_of(recording)
    lines = [json.loads(line) for line in body.splitlines() if line]
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    got = heard(OllamaDialect(), pieces, **WITH_USAGE)
    assert got.failure is None
    assert got.text == "".join(line["message"]["content"] for line in lines)
    [usage] = got.usages
    assert usage.input_tokens == lines[-1]["prompt_eval_count"]
    assert usage.output_tokens == lines[-1]["eval_count"]
    assert put_together(got.data).choices[0].message.content == got.text


# Google's own errors, which its compatible endpoint wraps in a list.


@pytest.mark.parametrize("recording", recordings(ok=False, streamed=False, apis=["native"]))
def test_an_error_of_googles_tells_how_long_to_wait(recording: dict[str, Any]):
    for body in (body_of(recording), b"[" + body_of(recording) + b"]"):
        error = OpenAIDialect().error(recording["response"]["status"], {}, body)
        assert error.status == recording["response"]["status"]
        assert int(error.headers["retry-after"]) > 0
