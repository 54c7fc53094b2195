"""Recordings of live traffic, where there are some: nothing of theirs is lost on the way.

RUNESTONE_RECORDINGS names a folder of JSON files {api, provider, response: {status, framing,
body_text | body_json | chunks}}. The project's own recordings, beside this file, cover the same
cases without it.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from api.requests import decode
from providers.dialects.openai import OpenAIDialect
from providers.wire import CHAT, COMPLETION, EMBEDDING, ModelCall
from runestone.lib import sse
from runestone.lib.errors import UpstreamBroken, UpstreamError

FOLDER = Path(os.environ.get("RUNESTONE_RECORDINGS", "/nonexistent"))
ASKED = {
    "chat": (CHAT, {"messages": [{"role": "user", "content": "x"}]}),
    "completions": (COMPLETION, {"prompt": "x"}),
    "embeddings": (EMBEDDING, {"input": "x"}),
}


def recordings(*, ok: bool, streamed: bool) -> list[Any]:
    found = (json.loads(path.read_text()) for path in sorted(FOLDER.glob("*-*.json")))
    chosen = [
        pytest.param(each, id=each["id"])
        for each in found
        if each["api"] in ASKED
        and (each["response"]["status"] == 200) == ok
        and ("sse" in each["response"]["framing"]) == streamed
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
