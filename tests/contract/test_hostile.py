"""What no client would send, over raw sockets: always an answer, never a fault of ours, never HTML.

Each case ends with a look at whether the gateway still serves.
"""

import json
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.cast import Account, open_account
from tests.contract.judge import check
from tests.gateway_process import GatewayProcess

ANSWER_SECONDS_MAX = 10.0
CHAT = "/v1/chat/completions"
GOOD = b'{"model":"echo","messages":[{"role":"user","content":"x"}]}'
BODIES_TAKEN_BY = (CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def key(gateway: GatewayProcess, live_database: str, django_db_blocker: object) -> Iterator[str]:
    from tests.conftest import using_database

    with django_db_blocker.unblock(), using_database(live_database):  # type: ignore[attr-defined]
        account: Account = open_account("Acme")
        yield account.key


def talk(gateway: GatewayProcess, sent: bytes, *, then_close: bool = False) -> bytes:
    """All that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), ANSWER_SECONDS_MAX) as wire:
        try:
            wire.sendall(sent)
            if then_close:
                wire.shutdown(socket.SHUT_WR)
            got = b""
            while piece := wire.recv(65_536):
                got += piece
        except (ConnectionResetError, BrokenPipeError):
            return b""
        return got


def head(path: bytes, key: str, *more: bytes, method: bytes = b"POST") -> bytes:
    lines = [
        method + b" " + path + b" HTTP/1.1",
        b"Host: localhost",
        b"Authorization: Bearer " + key.encode(),
        b"Connection: close",
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(gateway: GatewayProcess, key: str, path: str, body: bytes, *more: bytes) -> Answer:
    length = b"Content-Length: %d" % len(body)
    named = more or (b"Content-Type: application/json",)
    return parsed(talk(gateway, head(path.encode(), key, length, *named) + body))


def parsed(got: bytes) -> Answer:
    start, _, body = got.partition(b"\r\n\r\n")
    line, *named = start.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in named)}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return Answer(int(line.split(" ")[1]), headers, body)


def unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole


def assert_told_well(answer: Answer) -> None:
    """An error in OpenAI's or Anthropic's shape, or a success: never a fault, never HTML."""
    assert answer.status < 500, answer
    assert answer.headers["content-type"].startswith(("application/json", "text/event-stream"))
    if answer.status >= 400:
        told = json.loads(answer.body)
        if told.get("type") == "error":
            check(told, ours="MessagesError")
        else:
            check(told, openai="ErrorResponse", ours="Error")


@pytest.fixture(autouse=True)
def _still_serves(gateway: GatewayProcess, key: str) -> Iterator[None]:
    yield
    began = time.monotonic()
    assert post(gateway, key, CHAT, GOOD).status == 200
    assert time.monotonic() - began < 2


def in_message(value: bytes) -> bytes:
    return b'{"model":"echo","messages":[{"role":"user","content":%s}]}' % value


BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\t ",
    "null": b"null",
    "true": b"true",
    "a number": b"1e400",
    "a text": b'"x"',
    "a list": b"[]",
    "cut": GOOD[:-1],
    "followed by more": GOOD + b"{}",
    "a comment": b"/* x */" + GOOD,
    "single quotes": GOOD.replace(b'"', b"'"),
    "NaN": b'{"model":"echo","temperature":NaN,"messages":[{"role":"user","content":"x"}]}',
    "Infinity": b'{"model":"echo","temperature":-Infinity,"messages":[]}',
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep and cut": b'{"a":' * 100_000,
    "deep in an unknown field": b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"," + GOOD[1:],
    "deep in a known field": b'{"metadata":' + b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"}",
    "deep in a schema": b'{"tools":[{"type":"function","function":{"name":"f","parameters":'
    + b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"}}]," + GOOD[1:],
    "a huge integer": b'{"seed":' + b"9" * 5_000 + b"," + GOOD[1:],
    "an integer beyond 64 bits": b'{"seed":18446744073709551616,' + GOOD[1:],
    "a negative one": b'{"seed":-9223372036854775809,' + GOOD[1:],
    "a huge exponent": b'{"temperature":1e999999999,' + GOOD[1:],
    "a huge negative exponent": b'{"temperature":1e-999999999,' + GOOD[1:],
    "a huge cap": b'{"max_completion_tokens":9223372036854775807,' + GOOD[1:],
    "a cap beyond 64 bits": b'{"max_completion_tokens":' + b"9" * 30 + b"," + GOOD[1:],
    "a costly wish": b'{"max_cost_per_token":"1e999999",' + GOOD[1:],
    "a tiny costly wish": b'{"max_cost_per_token":"1e-999999",' + GOOD[1:],
    "a wish that is not a number": b'{"max_cost_per_token":"NaN",' + GOOD[1:],
    "an infinite wish": b'{"max_cost_per_token":"Infinity",' + GOOD[1:],
    "a signalling wish": b'{"max_cost_per_token":"sNaN",' + GOOD[1:],
    "a wish that takes long to write out": b'{"max_cost_per_token":"1e9999999",' + GOOD[1:],
    "a huge tenant": b'{"tenant_id":' + b"9" * 400 + b"," + GOOD[1:],
    "duplicate keys": b'{"model":"gpt-4o-mini","model":5,' + GOOD[1:],
    "a duplicate stream": b'{"stream":true,"stream":false,' + GOOD[1:],
    "a hundred thousand keys": b"{"
    + b",".join(b'"k%d":%d' % (n, n) for n in range(100_000)) + b"," + GOOD[1:],
    "an empty key": b'{"":1,' + GOOD[1:],
    "NUL, escaped": in_message(rb'"a\u0000b"'),
    "NUL, raw": in_message(b'"a\0b"'),
    "NUL in the model": rb'{"model":"ec\u0000ho","messages":[{"role":"user","content":"x"}]}',
    "NUL in a wish": rb'{"provider":"\u0000","request_id":"\u0000",' + GOOD[1:],
    "NUL as tenant": rb'{"tenant_id":"\u0000",' + GOOD[1:],
    "a lone high surrogate": in_message(rb'"\ud800"'),
    "a lone low surrogate": in_message(rb'"\udc00x"'),
    "a surrogate in the model": rb'{"model":"\ud83d","messages":[{"role":"user","content":"x"}]}',
    "a surrogate as request_id": rb'{"request_id":"\ud83d",' + GOOD[1:],
    "a cut escape": in_message(rb'"\u12"'),
    "control characters": in_message(b'"\x01\x02\x1f"'),
    "a newline as request_id": rb'{"request_id":"a\r\nx: y",' + GOOD[1:],
    "latin-1": in_message("\"é\"".encode("latin-1")),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "a BOM": b"\xef\xbb\xbf" + GOOD,
    "overlong UTF-8": in_message(b'"\xc0\xaf"'),
    "a CESU surrogate": in_message(b'"\xed\xa0\x80"'),
    "beyond Unicode": in_message(b'"\xf4\x90\x80\x80"'),
    "an invalid key": b'{"\xff":1,' + GOOD[1:],
    "a form": b"model=echo&messages=x",
    "gzip": bytes.fromhex("1f8b08000000000000ff"),
    "many messages": b'{"model":"echo","messages":['
    + b",".join([b'{"role":"user","content":"x"}'] * 10_001) + b"]}",
    "many empty parts": in_message(b"[" + b",".join([b"{}"] * 50_000) + b"]"),
    "a long model": b'{"model":"' + b"m" * 1_000_000 + b'",' + GOOD[1:],
    "a model with a path": GOOD.replace(b"echo", b"../../etc/passwd"),
    "a model with SQL": GOOD.replace(b"echo", b"'; DROP TABLE billing_entry; --"),
    "a model with a template": GOOD.replace(b"echo", b"{{7*7}}${7*7}%s%n"),
    "stream as a number": b'{"stream":1,' + GOOD[1:],
    "stream as a text": b'{"stream":"true",' + GOOD[1:],
    "stream options without a stream": b'{"stream_options":{"include_usage":true},' + GOOD[1:],
}  # fmt: skip


@pytest.mark.parametrize("path", BODIES_TAKEN_BY)
@pytest.mark.parametrize("name", BODIES)
def test_bodies(gateway: GatewayProcess, key: str, name: str, path: str):
    body = BODIES[name]
    if path in ("/v1/embeddings", "/v1/responses"):
        body = body.replace(
            b'"messages":[{"role":"user","content":', b'"input":[{"role":"user","content":'
        )
    elif path == "/v1/messages":
        body = body.replace(b'"messages":', b'"max_tokens":16,"messages":')
    assert_told_well(post(gateway, key, path, body))
    if body.startswith(b'{"') and body.endswith(b"}"):
        assert_told_well(post(gateway, key, path, b'{"stream":true,' + body[1:]))


@pytest.mark.parametrize(
    "named",
    [
        b"Content-Type:",
        b"Content-Type: text/html",
        b"Content-Type: multipart/form-data; boundary=x",
        b"Content-Type: application/json; charset=utf-16",
        b"Content-Type: application/json\r\nContent-Type: text/plain",
        b"Content-Type: application/json\r\nContent-Encoding: gzip",
        b"Content-Type: application/json\r\nAccept: text/html",
        b"Content-Type: application/json\r\nAccept-Encoding: " + b"x" * 8_000,
        b"Content-Type: application/json\r\nX-Odd: \xff\xfe\x80",
        b"Content-Type: application/json\r\nX-Request-Id: " + b"r" * 8_000,
        b"Content-Type: application/json\r\nAuthorization: Basic eDp5",
        b"Content-Type: application/json\r\nX-HTTP-Method-Override: DELETE",
        b"Content-Type: application/json\r\nTransfer-Encoding: identity",
        b"Content-Type: application/json\r\nExpect: 200-ok",
        b"Content-Type: application/json\r\nHost: evil.example\r\nX-Forwarded-For: 0.0.0.0",
        b"Content-Type: application/json\r\nUpgrade: websocket\r\nConnection: Upgrade",
        b"Content-Type: application/json\r\nCookie: sessionid=" + b"c" * 8_000,
    ],
    ids=lambda each: repr(each[-40:]),
)
def test_headers(gateway: GatewayProcess, key: str, named: bytes):
    answer = post(gateway, key, CHAT, GOOD, named)
    assert answer.status < 500
    assert b"<html" not in answer.body.lower()


@pytest.mark.parametrize(
    "presented",
    [
        b"",
        b"Bearer",
        b"Bearer  ",
        b"Bearer " + b"k" * 30_000,
        b"Bearer \xff\xfe",
        b"Bearer sk-rs-" + b"\xe9" * 61,
        b"Bearer sk-rs-" + "é".encode() * 61,
        b"Basic eDp5",
        b"bearer\tsk-rs-x",
        b"Bearer sk-rs-" + b"0" * 61 + b", Bearer sk-rs-" + b"1" * 61,
    ],
    ids=lambda each: repr(each[:24]),
)
@pytest.mark.parametrize("name", [b"Authorization", b"api-key", b"x-api-key"])
def test_keys(gateway: GatewayProcess, presented: bytes, name: bytes):
    lines = [b"POST " + CHAT.encode() + b" HTTP/1.1", b"Host: x", name + b": " + presented]
    lines += [b"Connection: close", b"Content-Type: application/json", b"Content-Length: 2"]
    answer = parsed(talk(gateway, b"\r\n".join(lines) + b"\r\n\r\n{}"))
    assert answer.status == 401
    assert_told_well(answer)


PATHS = [
    b"/v1", b"/v1/", b"/v1//", b"//v1/models", b"/v1/models/", b"/v1/models//", b"/v1/models/%2F",
    b"/v1/models/%00", b"/v1/models/%ff%fe", b"/v1/models/%c0%ae", b"/v1/models/%",
    b"/v1/models/%zz", b"/v1/models/..", b"/v1/models/%2e%2e/%2e%2e/admin/", b"/v1/models/../../",
    b"/v1/models/a%20b", b"/v1/models/a%0d%0aX:%20y", b"/v1/models/" + b"m" * 30_000,
    b"/v1/models/openai%2Fgpt-4o", b"/v1/models/%252F", b"/v1/models/%ud800", b"/v1/models/;x=y",
    b"/v1/responses/", b"/v1/responses/%00", b"/v1/responses/resp_%00", b"/v1/responses/resp_",
    b"/v1/responses/resp_" + b"0" * 32, b"/v1/responses/resp_" + b"z" * 32,
    b"/v1/responses/resp_{" + b"0" * 30 + b"}", b"/v1/responses/x/input_items/",
    b"/v1/responses/x/input_items/y", b"/v1/responses/%2F/input_items",
    b"/v1/responses//input_items",
    b"/v1/responses/x/input_items?limit=-1", b"/v1/responses/x/input_items?limit=1e3",
    b"/v1/responses/x/input_items?limit=" + b"9" * 5_000,
    b"/v1/responses/x/input_items?limit=%C2%B2", b"/v1/responses/x/input_items?limit=%D9%A1",
    b"/v1/responses/x/input_items?limit=%00&order=%ff&after=%00",
    b"/v1/responses/x/input_items?order=asc&order=desc", b"/v1/responses/x?stream=%ff",
    b"/v1/responses/x?stream=true", b"/v1/models?" + b"a=b&" * 5_000, b"/v1/models?%",
    b"/v1/models?=",
    b"/v1/models?a[]=%00", b"/v1/models#x", b"/v1/chat/completions/", b"/v1/chat/completions//",
    b"/v1/chat/completions/../models", b"/v1/chat%2Fcompletions", b"/V1/MODELS", b"/v1models",
    b"/v1/messages/", b"/v1/messages/count_tokens/", b"/v1/messagesx", b"/health/", b"/health/x",
    b"/healthy", b"/health%00", b"/v1/\xff", b"/v1/\xe2\x82\xac",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda each: repr(each[:40]))
@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE", b"OPTIONS", b"HEAD", b"BREW"])
def test_paths(gateway: GatewayProcess, key: str, path: bytes, method: bytes):
    got = talk(gateway, head(path, key, b"Content-Length: 0", method=method))
    assert got, "hung up without an answer"
    answer = parsed(got)
    if path.startswith((b"/v1", b"/health")) and answer.headers.get("x-request-id"):
        if method != b"HEAD" and not path.startswith(b"/health"):
            assert_told_well(answer)
        assert answer.status < 500 or path.startswith(b"/health")
    else:
        # The control plane's, or the HTTP parser's own.
        assert answer.status in (301, 302, 400, 404, 405, 414, 431), answer


# Bodies that are not as long as they say.


def test_a_body_shorter_than_told(gateway: GatewayProcess, key: str):
    sent = head(CHAT.encode(), key, b"Content-Type: application/json", b"Content-Length: 1000")
    # Whoever leaves in the middle of a body gets no answer, and takes nobody along.
    assert talk(gateway, sent + GOOD, then_close=True) == b""
    whole = head(
        CHAT.encode(), key, b"Content-Type: application/json", b"Content-Length: %d" % len(GOOD),
        b"Connection: close",
    )  # fmt: skip
    assert parsed(talk(gateway, whole + GOOD)).status == 200


def test_a_body_longer_than_told(gateway: GatewayProcess, key: str):
    sent = head(CHAT.encode(), key, b"Content-Type: application/json", b"Content-Length: 5")
    answer = parsed(talk(gateway, sent + GOOD))
    assert answer.status == 400


@pytest.mark.parametrize(
    "lengths",
    [
        (b"Content-Length: -1",),
        (b"Content-Length: x",),
        (b"Content-Length: 0x10",),
        (b"Content-Length: 99999999999999999999999",),
        (b"Content-Length: 2", b"Content-Length: 3"),
        (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked, chunked",),
        (b"Transfer-Encoding: xchunked",),
    ],
    ids=lambda each: repr(each),
)
def test_lengths_that_make_no_sense(gateway: GatewayProcess, key: str, lengths: tuple[bytes, ...]):
    sent = head(CHAT.encode(), key, b"Content-Type: application/json", *lengths)
    got = talk(gateway, sent + b"{}", then_close=True)
    assert not got or parsed(got).status < 500


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-1\r\n\r\n",
        b"ffffffffffffffff\r\n{}",
        b"2\r\n{}0\r\n\r\n",
        b"2;",
    ],
)
def test_chunks_that_make_no_sense(gateway: GatewayProcess, key: str, chunks: bytes):
    sent = head(
        CHAT.encode(), key, b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    )
    got = talk(gateway, sent + chunks, then_close=True)
    assert not got or parsed(got).status < 500


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"\0" * 10_000,
    ],
    ids=lambda each: repr(each[:24]),
)
def test_what_is_not_http(gateway: GatewayProcess, sent: bytes):
    got = talk(gateway, sent, then_close=True)
    assert not got or parsed(got).status < 500


def test_nothing_was_unexpected(gateway: GatewayProcess):
    """The last in this file: each fault would have left a traceback in the log."""
    assert "Traceback" not in gateway.log
