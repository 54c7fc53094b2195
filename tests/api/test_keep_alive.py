"""Streams in the real world: models that think, readers that are slow."""

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import anthropic
import openai
import pytest

from providers.models import Model
from tests.cast import Account
from tests.conftest import Ask, Scenario
from tests.gateway_process import GatewayProcess

SECONDS = 0.3
COMMENT = b": keep-alive\n\n"
MESSAGES = [{"role": "user", "content": "one two three four"}]
SLOW_READERS = 8
# The memory of a whole stream, its call and what the allocator wastes included.
SLOW_READER_BYTES_MAX = 3 * 1024 * 1024


@pytest.fixture(scope="module")
def gateway(live_database_url: str) -> Iterator[GatewayProcess]:
    """One that gives signs of life early."""
    with GatewayProcess(live_database_url, RUNESTONE_KEEP_ALIVE_SECONDS=str(SECONDS)) as running:
        yield running


def connect(gateway: GatewayProcess, key: str, asked: dict[str, Any]) -> socket.socket:
    """A connection on which a stream has been asked for."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", gateway.port))
    body = json.dumps({"stream": True, "messages": MESSAGES} | asked).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def read_all(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of what comes until the end, chunks put together."""
    data = b""
    while piece := connection.recv(1024 * 1024):
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return int(head.split()[1]), body


def raw(gateway: GatewayProcess, key: str, model: str, **asked: Any) -> tuple[int, bytes]:
    with connect(gateway, key, {"model": model, **asked}) as connection:
        return read_all(connection)


@pytest.mark.parametrize("how", ["slow_headers=1", "delay=1", "gap=0.5;chunks=3"])
def test_it_works(
    gateway: GatewayProcess, acme: Account, globex: Account, scenario: Scenario, how: str
):
    status, body = raw(gateway, acme.key, scenario(how))
    assert status == 200
    assert 2 <= body.count(COMMENT) <= 4
    blocks = body.removesuffix(b"\n\n").split(b"\n\n")
    assert all(block == COMMENT.strip() or block.startswith(b"data: ") for block in blocks)
    assert blocks[-1] == b"data: [DONE]"
    acme.lines(1)
    globex.lines(0)


@pytest.mark.parametrize("how", ["slow_headers=0.6", "gap=0.4;chunks=4"])
def test_the_sdk_passes_over_them(ask: Ask, acme: Account, how: str):
    said = "".join(chunk.choices[0].delta.content or "" for chunk in ask(how, stream=True))
    assert len(said.split()) == 4
    acme.lines(1)


def test_anthropics_sdk_passes_over_them(
    gateway: GatewayProcess, acme: Account, scenario: Scenario
):
    with anthropic.Anthropic(base_url=gateway.root, api_key=acme.key, max_retries=0) as client:
        asked: Any = {"model": scenario("slow_headers=0.6"), "messages": MESSAGES, "max_tokens": 99}
        with client.messages.stream(**asked) as stream:
            assert len(stream.get_final_text().split()) == 4


def test_the_sdk_for_responses_passes_over_them(client: openai.OpenAI, scenario: Scenario):
    events = client.responses.create(model=scenario("slow_headers=0.6"), input="x", stream=True)
    assert [event.type for event in events][-1] == "response.completed"


@pytest.mark.parametrize("how", ["normal", "gap=0.1;chunks=6"])
def test_a_lively_stream_has_none(
    gateway: GatewayProcess, acme: Account, scenario: Scenario, how: str
):
    _, body = raw(gateway, acme.key, scenario(how))
    assert COMMENT not in body


# Errors: with their status before the first comment, as events after it.


def test_an_early_refusal_keeps_its_status(ask: Ask, acme: Account):
    with pytest.raises(openai.RateLimitError) as caught:
        ask("error=429", stream=True)
    assert caught.value.status_code == 429


def test_a_late_refusal_is_an_event(
    gateway: GatewayProcess, ask: Ask, acme: Account, globex: Account, scenario: Scenario
):
    how = "slow_headers=0.6;error=429"
    with pytest.raises(openai.APIError) as caught:
        list(ask(how, stream=True))
    assert not isinstance(caught.value, openai.APIStatusError)
    status, body = raw(gateway, acme.key, scenario(how))
    assert status == 200
    *comments, told = body.removesuffix(b"\n\n").split(b"\n\n")
    assert set(comments) == {COMMENT.strip()}
    assert json.loads(told.removeprefix(b"data: "))["error"]["type"]
    assert [line.status for line in acme.lines(2)] == [429, 429]
    globex.lines(0)


def test_a_late_refusal_is_an_event_for_anthropics_sdk_too(
    gateway: GatewayProcess, acme: Account, scenario: Scenario
):
    asked: Any = {"model": scenario("slow_headers=0.6;error=429"), "messages": MESSAGES}
    with anthropic.Anthropic(base_url=gateway.root, api_key=acme.key, max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            list(client.messages.create(**asked, max_tokens=99, stream=True))
    body: Any = caught.value.body
    assert body["error"]["type"] == "rate_limit_error"


def test_a_late_refusal_is_an_event_for_responses_too(client: openai.OpenAI, scenario: Scenario):
    model = scenario("slow_headers=0.6;error=429")
    with pytest.raises(openai.APIError) as caught:
        list(client.responses.create(model=model, input="x", stream=True))
    assert caught.value.code == "rate_limit_exceeded"
    # Which tells its type, like all events of responses: OpenAI's schemas know no other.
    with client.responses.with_streaming_response.create(
        model=model, input="x", stream=True
    ) as answer:
        *_, name, data = (line for line in answer.iter_lines() if line)
    assert name == "event: error"
    event = json.loads(data.removeprefix("data: "))
    assert (event["type"], event["sequence_number"]) == ("error", 0)
    assert event["code"] == event["error"]["code"] == "rate_limit_exceeded"


def test_an_answer_in_json_has_none(ask: Ask):
    answer = ask("slow_headers=0.6")
    assert answer.choices[0].message.content


def test_a_caller_that_hangs_up_while_the_model_thinks(
    gateway: GatewayProcess, acme: Account, scenario: Scenario
):
    with connect(gateway, acme.key, {"model": scenario("slow_headers=30")}) as connection:
        assert b"200" in connection.recv(4096)
    [line] = acme.lines(1)
    assert line.status == 499


# A slow reader.


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_slow_reader_bounds_what_is_gathered_for_it(
    gateway: GatewayProcess, acme: Account, globex: Account, scenario: Scenario
):
    model = scenario("chunks=40000")
    # Or the answer would be cut off where its hold ends.
    Model.objects.filter(name=model).update(max_output_tokens=100_000)
    time.sleep(1)
    asked = {"model": model, "max_tokens": 100_000}
    raw(gateway, acme.key, scenario("chunks=2000"))
    before = peak = resident_bytes(gateway)
    with ExitStack() as stack:
        readers = [
            stack.enter_context(connect(gateway, acme.key, asked)) for _ in range(SLOW_READERS)
        ]
        for _ in range(10):
            time.sleep(0.1)
            peak = max(peak, resident_bytes(gateway))
        with globex.client(gateway.url) as stranger:
            stranger.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert len(acme.holds()) == SLOW_READERS
        # Nothing is lost either: the first reads on to the end.
        size, end = 0, b""
        while piece := readers[0].recv(1024 * 1024):
            size, end = size + len(piece), (end + piece)[-64:]
    assert peak - before < SLOW_READERS * SLOW_READER_BYTES_MAX
    assert size > 3 * SLOW_READER_BYTES_MAX
    assert b"data: [DONE]" in end
    lines = acme.lines(1 + SLOW_READERS)
    assert max(line.output_tokens for line in lines) == 40_000


def resident_bytes(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    with open(f"/proc/{gateway.process.pid}/status") as status:
        [resident] = [line.split()[1] for line in status if line.startswith("VmRSS")]
    return int(resident) * 1024
