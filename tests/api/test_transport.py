"""What is around every call: proxies, HTTPS, CORS and gzip, by the SDK and by raw HTTP."""

import gzip
import http.client
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from os import environ
from typing import Any

import openai
import pytest

from tests.cast import Account
from tests.gateway_process import GatewayProcess

PAGE = "https://app.example.com"
BODY_BYTES_MAX = 1024 * 1024
ASKED = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": (
        "authorization,content-type,x-stainless-lang,openai-beta,anthropic-version,"
        "idempotency-key,x-evil,cookie"
    ),
}


@pytest.fixture(scope="module")
def secured(live_database_url: str) -> Iterator[GatewayProcess]:
    """With everything on; the tests are its trusted proxy."""
    with GatewayProcess(
        live_database_url,
        RUNESTONE_CORS_ORIGINS=f"{PAGE}, http://localhost:3000",
        RUNESTONE_HTTPS_REDIRECT="true",
        RUNESTONE_HSTS_SECONDS="3600",
        RUNESTONE_TRUSTED_PROXIES="127.0.0.1",
        RUNESTONE_BODY_BYTES_MAX=str(BODY_BYTES_MAX),
    ) as running:
        yield running


SECURE = {"x-forwarded-proto": "https"}


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


def send(
    gateway: GatewayProcess,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    body: bytes | None = None,
    *,
    key: str = "",
    **headers: str,
) -> Answer:
    named = {"content-type": "application/json"} if body is not None else {}
    if key:
        named["authorization"] = f"Bearer {key}"
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    try:
        connection.request(method, path, body, named)
        return Answer(connection.getresponse())
    finally:
        connection.close()


# CORS.


def test_a_page_may_call(secured: GatewayProcess, acme: Account, globex: Account):
    asked = send(secured, "OPTIONS", **SECURE, **PREFLIGHT)
    assert (asked.status, asked.body) == (204, b"")
    assert "content-length" not in asked.headers
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert int(asked.headers["access-control-max-age"]) > 0
    assert asked.headers["access-control-allow-headers"].split(", ") == [
        "authorization", "content-type", "x-stainless-lang", "openai-beta", "anthropic-version",
        "idempotency-key",
    ]  # fmt: skip
    for account in (acme, globex):
        body = json.dumps(ASKED).encode()
        answered = send(secured, body=body, key=account.key, origin=PAGE, **SECURE)
        assert answered.status == 200
        assert answered.headers["access-control-allow-origin"] == PAGE
        exposed = answered.headers["access-control-expose-headers"]
        assert {"x-request-id", "openai-processing-ms", "retry-after"} <= set(exposed.split(", "))
        assert "origin" in answered.headers["vary"]
        account.lines(1)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/nowhere"])
def test_a_page_can_read_errors(secured: GatewayProcess, acme: Account, path: str):
    refused = send(secured, body=b"{", key=acme.key, path=path, origin=PAGE, **SECURE)
    assert refused.status in (400, 404)
    assert refused.headers["access-control-allow-origin"] == PAGE


def test_a_page_can_read_streams(secured: GatewayProcess, acme: Account):
    body = json.dumps(ASKED | {"stream": True}).encode()
    told = send(secured, body=body, key=acme.key, origin=PAGE, accept_encoding="gzip", **SECURE)
    assert told.headers["access-control-allow-origin"] == PAGE
    assert told.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in told.headers
    assert told.body.endswith(b"data: [DONE]\n\n")
    refused = send(
        secured, body=json.dumps(ASKED | {"stream": True}).encode(), origin=PAGE, **SECURE
    )
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == PAGE


def test_another_page_may_not(secured: GatewayProcess, acme: Account):
    for origin in ("https://evil.example.com", "null", f"{PAGE}.evil.com", PAGE.upper()):
        asked = send(secured, "OPTIONS", **SECURE, **(PREFLIGHT | {"origin": origin}))
        assert (asked.status, asked.error["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in asked.headers
        served = send(secured, "GET", "/v1/models", key=acme.key, origin=origin, **SECURE)
        assert served.status == 200
        assert "access-control-allow-origin" not in served.headers


def test_without_the_setting_no_page_may(gateway: GatewayProcess, acme: Account):
    asked = send(gateway, "OPTIONS", **PREFLIGHT)
    assert (asked.status, asked.error["code"]) == (405, "method_not_supported")
    assert asked.error["type"] == "invalid_request_error"
    served = send(gateway, "GET", "/v1/models", key=acme.key, origin=PAGE)
    assert not [name for name in served.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "method", ["OPTIONS", "TRACE", "DISPATCH", "SETUP", "http_method_not_allowed"]
)
def test_an_odd_method_is_refused(gateway: GatewayProcess, method: str):
    refused = send(gateway, method, "/v1/models")
    # httptools itself refuses names that are no methods.
    assert refused.status in (400, 405)
    if refused.status == 405:
        assert refused.error["code"] == "method_not_supported"


# gzip.


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKED = [
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity", bytes),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_packed_body_is_unpacked(
    gateway: GatewayProcess, acme: Account, globex: Account, encoding: str, pack: Any, stream: bool
):
    long = "word " * 15_000
    asked = {"model": "echo", "messages": [{"role": "user", "content": long}], "stream": stream}
    body = pack(json.dumps(asked).encode())
    answered = send(gateway, body=body, key=acme.key, content_encoding=encoding)
    assert answered.status == 200, answered.body
    assert answered.body.count(b"word") >= 15_000
    acme.lines(1)
    globex.lines(0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"{}"),
        ("gzip", gzip.compress(b"{}")[:-3]),
        ("gzip", gzip.compress(b"{}") + b"x"),
        ("gzip", gzip.compress(b"") * 3),
        ("gzip", b"\x1f\x8b"),
        ("deflate", gzip.compress(b"{}")),
        ("deflate", b"\x78\x9c\xff\xff"),
    ],
    # gzip writes down the time: the ids would differ from one worker to the next.
    ids=["plain", "cut off", "trailing", "members", "header", "gzip as deflate", "bad block"],
)
def test_a_corrupt_body(gateway: GatewayProcess, acme: Account, encoding: str, body: bytes):
    refused = send(gateway, body=body, key=acme.key, content_encoding=encoding)
    assert refused.status == 400
    assert "Content-Encoding" in refused.error["message"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 200])
def test_an_unknown_encoding(gateway: GatewayProcess, acme: Account, encoding: str):
    refused = send(gateway, body=b"{}", key=acme.key, content_encoding=encoding)
    assert (refused.status, refused.error["code"]) == (415, "unsupported_media_type")
    assert refused.headers["accept-encoding"] == "gzip, deflate"


def bomb() -> bytes:
    """A quarter of a gigabyte of blanks in a quarter of a megabyte."""
    packer = zlib.compressobj(9, wbits=31)
    blank = b" " * (16 * 1024 * 1024)
    return b"".join([*(packer.compress(blank) for _ in range(16)), packer.flush()])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_bomb_is_refused_and_not_inflated(
    gateway: GatewayProcess, acme: Account, globex: Account
):
    packed = bomb()
    before, started = peak_bytes(gateway), time.monotonic()
    refused = send(gateway, body=packed, key=acme.key, content_encoding="gzip")
    assert (refused.status, refused.error["code"]) == (413, "request_too_large")
    assert peak_bytes(gateway) - before < 48 * 1024 * 1024
    assert time.monotonic() - started < 2
    # For a stranger nothing is unpacked at all.
    assert send(gateway, body=packed, content_encoding="gzip").status == 401
    with globex.client(gateway.url) as stranger:
        stranger.models.list()


def peak_bytes(gateway: GatewayProcess) -> int:
    """The most memory that the process ever had."""
    assert gateway.process is not None
    with open(f"/proc/{gateway.process.pid}/status") as status:
        [peak] = [line.split()[1] for line in status if line.startswith("VmHWM")]
    return int(peak) * 1024


def test_the_bound_is_on_what_is_unpacked(secured: GatewayProcess, acme: Account):
    for size, status in ((BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)):
        body = json.dumps(ASKED).encode().ljust(size)
        packed = gzip.compress(body)
        answered = send(secured, body=packed, key=acme.key, content_encoding="gzip", **SECURE)
        assert answered.status == status, answered.body[:200]


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip, deflate", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("gzipped", False),
    ],
)
def test_a_large_answer_goes_packed_if_it_may(
    gateway: GatewayProcess, acme: Account, globex: Account, accepted: str, is_packed: bool
):
    for account in (acme, globex):
        answer = send(gateway, "GET", "/v1/models", key=account.key, accept_encoding=accepted)
        assert ("content-encoding" in answer.headers) is is_packed
        assert "accept-encoding" in answer.headers["vary"]
        assert int(answer.headers["content-length"]) == len(answer.body)
        body = gzip.decompress(answer.body) if is_packed else answer.body
        assert json.loads(body)["object"] == "list"


def test_a_small_answer_never_goes_packed(gateway: GatewayProcess, acme: Account):
    answer = send(gateway, "GET", "/v1/models/echo", key=acme.key, accept_encoding="gzip")
    assert "content-encoding" not in answer.headers
    assert json.loads(answer.body)["id"] == "echo"


def test_a_very_large_answer_arrives(client: openai.OpenAI, acme: Account):
    """The SDK asks for gzip by itself; this much is packed in a thread."""
    text = "much-longer-than-a-word-should-be " * 10_000
    raw = client.chat.completions.with_raw_response.create(
        model="echo", messages=[{"role": "user", "content": text}]
    )
    assert raw.headers["content-encoding"] == "gzip"
    assert text.strip() in (raw.parse().choices[0].message.content or "")


# HTTPS.


def test_plain_http_is_sent_on_to_https(secured: GatewayProcess, acme: Account):
    sent_on = send(
        secured,
        path="/v1/models/a%2Fb?x=1&y=%20",
        body=b"{}",
        key=acme.key,
        host="gw.example.com:8443",
    )
    assert (sent_on.status, sent_on.body) == (308, b"")
    assert sent_on.headers["location"] == "https://gw.example.com:8443/v1/models/a%2Fb?x=1&y=%20"
    assert "strict-transport-security" not in sent_on.headers
    admin = send(secured, "GET", "/admin/login/", host="localhost")
    assert admin.headers["location"] == "https://localhost/admin/login/"
    for path in ("/health/live", "/health/ready", "/health"):
        assert send(secured, "GET", path).status in (200, 503)


@pytest.mark.parametrize("host", ["evil.com/x", "a b", "a@b", "[::1", ""])
def test_a_host_that_is_none_is_not_sent_on(secured: GatewayProcess, host: str):
    assert send(secured, "GET", "/v1/models", host=host).status == 400


def test_over_https_it_works_and_is_remembered(
    secured: GatewayProcess, acme: Account, globex: Account
):
    for account in (acme, globex):
        with account.client(secured.url, default_headers=SECURE) as client:
            raw = client.models.with_raw_response.list()
            assert raw.headers["strict-transport-security"] == "max-age=3600"
    admin = send(secured, "GET", "/admin/login/", host="localhost", **SECURE)
    assert admin.status == 200
    assert "secure" in admin.headers["set-cookie"].lower()
    assert "max-age=3600" in admin.headers["strict-transport-security"]


def test_who_is_no_trusted_proxy_is_not_believed(gateway: GatewayProcess, acme: Account):
    answer = send(gateway, "GET", "/v1/models", key=acme.key, **SECURE)
    assert answer.status == 200
    assert "strict-transport-security" not in answer.headers
    admin = send(gateway, "GET", "/admin/login/", host="localhost", **SECURE)
    assert "secure" not in admin.headers["set-cookie"].lower()


def manage(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_django_finds_nothing_to_add():
    checked = manage(
        "check", "--deploy", "--fail-level", "WARNING",
        RUNESTONE_HTTPS_REDIRECT="true", RUNESTONE_HSTS_SECONDS="3600",
        SECRET_KEY="0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNESTONE_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("RUNESTONE_CORS_ORIGINS", "app.example.com"),
        ("RUNESTONE_CORS_ORIGINS", "https://app.example.com/"),
        ("RUNESTONE_KEEP_ALIVE_SECONDS", "-1"),
    ],
)
def test_a_wrong_setting_ends_the_start(name: str, value: str):
    started = manage("check", **{name: value})
    assert started.returncode != 0
    assert f"ImproperlyConfigured: {name}" in started.stderr
