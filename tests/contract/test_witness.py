"""The witness itself: it sees what is wrong in a reply, names it, and fails the run.

Wrong replies are given to a run of pytest of its own, by an application in the gateway's place.
"""

import copy
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_judge import ANSWER, CHUNK
from tests.contract.witness import record
from tests.contract.witness.attended import Attended
from tests.contract.witness.record import TEST, Recorded, Seen, Witness
from tests.contract.witness.shapes import shape
from tests.contract.witness.verdicts import complaints, verdict

CHAT = "/v1/chat/completions"
JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
ROOT = Path(__file__).parents[2]

# A run of pytest in which a gateway answers: given a value, as JSON.
A_RUN = """
import asyncio, os
from pathlib import Path
from tests.contract.test_witness import answer_of, witnessed
from tests.contract.witness.record import DIRECTORY, Witness

def test_it_works():
    pass

def test_that_asks():
    witness = Witness(Path(os.environ[DIRECTORY]))
    asyncio.run(witnessed(witness, answer_of({value!r})))
    witness.close()
"""


def answer_of(value: Any, *, status: int = 200) -> list[dict[str, Any]]:
    """The ASGI messages of an answer in JSON."""
    start = {"status": status, "headers": [(b"content-type", JSON.encode())]}
    body = {"body": json.dumps(value).encode()}
    return [{"type": "http.response.start", **start}, {"type": "http.response.body", **body}]


def stream_of(*events: Any) -> list[dict[str, Any]]:
    start = {"status": 200, "headers": [(b"content-type", EVENTS.encode())]}
    lines = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    lines += b"data: [DONE]\n\n"
    # Cut anywhere.
    pieces = [lines[at : at + 7] for at in range(0, len(lines), 7)]
    return [
        {"type": "http.response.start", **start},
        *({"type": "http.response.body", "body": each, "more_body": True} for each in pieces),
        {"type": "http.response.body", "body": b""},
    ]


async def witnessed(
    witness: Witness, answer: list[dict[str, Any]], *, method: str = "POST", path: str = CHAT
) -> None:
    """`witness` sees an application answer so."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in answer:
            await send(message)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path}
    await Attended(application, witness)(scope, None, send)
    assert sent == answer, "the caller gets what the application sent"


async def seen_in(directory: Path, *answers: list[dict[str, Any]], path: str = CHAT) -> Recorded:
    (directory / TEST).write_text("tests/test_x.py::test_y".ljust(record.TEST_BYTES))
    witness = Witness(directory)
    for answer in answers:
        await witnessed(witness, answer, path=path)
    witness.close()
    return Recorded(directory)


def wrong(finish_reason: Any = "eos") -> dict[str, Any]:
    value = copy.deepcopy(ANSWER)
    value["choices"][0]["finish_reason"] = finish_reason
    return value


def run_with(value: Any, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_run.py").write_text(A_RUN.format(value=value))
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.contract.witness.plugin", *options),
            *("-c", "/dev/null", "--rootdir", str(tmp_path), "-p", "no:cacheprovider"),
            *("-p", "no:django", str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_wrong_reply_fails_the_run(tmp_path: Path, options: tuple[str, ...]):
    ran = run_with(wrong(), tmp_path, *options)
    assert ran.returncode == 1, ran.stdout
    assert "2 passed" in ran.stdout, ran.stdout
    assert f"POST {CHAT} (200) $.choices[0].finish_reason: 'eos' is not one of" in ran.stdout
    assert "in test_run.py::test_that_asks" in ran.stdout


def test_a_right_reply_does_not(tmp_path: Path):
    ran = run_with(ANSWER, tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"witness: .*1 replies, 1 shapes", ran.stdout), ran.stdout


async def test_each_event_of_a_stream_is_judged(tmp_path: Path):
    bent = CHUNK | {"choices": [{"index": "0", "delta": {}, "finish_reason": None}]}
    recorded = await seen_in(tmp_path, stream_of(CHUNK, bent, {"error": {"message": "x"}}))
    one, other = complaints(recorded.seen)
    assert "$.choices[0].index: '0' is not of type 'integer'" in one
    assert "$.error: " in other
    assert "is a required property" in other
    assert "in tests/test_x.py::test_y" in one


async def test_what_has_the_same_shape_is_kept_once(tmp_path: Path):
    answers = [answer_of(ANSWER | {"id": f"chatcmpl-{n}", "created": n}) for n in range(5)]
    recorded = await seen_in(tmp_path, *answers, answer_of(wrong()))
    assert len(recorded.seen) == 2
    assert recorded.tally["replies"] == 6


async def test_objects_that_differ_in_their_names_alone_are_one_endpoint(tmp_path: Path):
    (tmp_path / TEST).touch()
    witness = Witness(tmp_path)
    for path in ("models/a", "models/b/c", "responses/resp_1", "responses/resp_2"):
        await witnessed(witness, answer_of({}), method="GET", path=f"/v1/{path}")
    witness.close()
    assert [each.path for each in Recorded(tmp_path).seen] == [
        "/v1/models/a",
        "/v1/responses/resp_1",
    ]


async def test_a_packed_reply_is_judged(tmp_path: Path):
    start, body = answer_of(wrong())
    start["headers"].append((b"content-encoding", b"gzip"))
    body["body"] = gzip.compress(body["body"])
    assert complaints((await seen_in(tmp_path, [start, body])).seen)


async def test_a_reply_that_is_no_json_is_wrong(tmp_path: Path):
    start, body = answer_of(ANSWER)
    body["body"] = b"<html>"
    [complaint] = complaints((await seen_in(tmp_path, [start, body])).seen)
    assert "it cannot be read: DecodeError" in complaint


async def test_what_cannot_be_read_does_not_blind_it(tmp_path: Path):
    start, body = answer_of(ANSWER)
    start["headers"].append((b"content-encoding", b"gzip"))
    recorded = await seen_in(tmp_path, [start, body], answer_of(wrong()))
    one, other = complaints(recorded.seen)
    assert "BadGzipFile" in one
    assert "finish_reason" in other


async def test_what_is_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(record, "REPLY_BYTES_MAX", 100)
    recorded = await seen_in(tmp_path, answer_of(wrong()))
    assert not recorded.seen
    assert recorded.tally["cut short"] == 1


async def test_shapes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(record, "SHAPES_MAX", 3)
    answers = [answer_of({f"field{n}": 1}) for n in range(5)]
    recorded = await seen_in(tmp_path, *answers)
    assert len(recorded.seen) == 3
    assert recorded.tally["not kept, too many shapes"] == 2


def seen(value: Any, method: str, path: str, status: int = 200, is_event: bool = False) -> Seen:
    return Seen("tests/test_x.py::test_y", method, path, status, is_event, value)


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (seen({}, "POST", "/v1/chat/completions", 400), "'error' is a required property"),
        (seen({"detail": "x"}, "GET", "/v1/nowhere", 404), "'error' is a required property"),
        (seen({}, "POST", "/v1/completions"), "is a required property"),
        (seen({}, "POST", "/v1/completions", is_event=True), "not even the outline"),
        (seen({}, "POST", "/v1/embeddings"), "not even the outline"),
        (seen({"object": "list", "data": []}, "GET", "/v1/responses/x/input_items"), "required"),
        (seen({}, "GET", "/v1/models/a/b"), "is a required property"),
        (seen({}, "HEAD", "/v1/models"), "is a required property"),
        (seen({"type": "gone"}, "POST", "/v1/responses", is_event=True), "not valid"),
        (seen({"type": "message"}, "POST", "/v1/messages"), "$.id: Field required"),
        (seen({"type": "message_start"}, "POST", "/v1/messages", is_event=True), "message"),
        (seen({"type": "error", "error": {}}, "POST", "/v1/messages", 400), "outline"),
        (seen({"input_tokens": "5"}, "POST", "/v1/messages/count_tokens"), "$.input_tokens"),
        (seen({}, "POST", "/v1/images/generations"), "no judge is named"),
        (seen([], "POST", "/v1/chat/completions", is_event=True), "not even the outline"),
    ],
    ids=lambda each: f"{each.method}-{each.path}-{each.status}" if isinstance(each, Seen) else "",
)
def test_every_endpoint_has_its_judge(reply: Seen, complaint: str):
    assert complaint in (verdict(reply) or "")


def test_base64_is_judged_as_the_floats_that_it_stands_for():
    vector = {"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="}
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    value = {"object": "list", "data": [vector], "model": "m", "usage": usage}
    assert verdict(seen(value, "POST", "/v1/embeddings")) is None
    assert verdict(seen(value | {"data": [{}]}, "POST", "/v1/embeddings"))


def test_a_shape_keeps_what_judges_look_at():
    assert shape(ANSWER) == shape(ANSWER | {"id": "other", "created": 9})
    assert shape(ANSWER) != shape(wrong())
    assert shape(ANSWER) != shape(ANSWER | {"created": 1.5})
    assert shape(ANSWER) != shape(ANSWER | {"more": None})
    assert shape({"data": [1]}) == shape({"data": [1, 2]}) != shape({"data": []})
