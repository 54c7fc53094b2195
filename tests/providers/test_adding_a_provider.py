"""Two promises of docs/providers.md, kept here: a vendor is a row, and a wire format is one file.

The vendor is a server that has Mistral's habits. The wire format is a tiny one made up for this
test: texts in and out, and a stream of numbered lines.
"""

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, cast
from uuid import uuid4

import msgspec
import openai
import pytest

from providers.dialects import DIALECTS, Dialect, dialect_of
from providers.dialects.base import Answer, Relayed, Target, UpstreamRequest
from providers.dialects.refusals import refusal
from providers.models import Upstream
from providers.wire import CHAT, ChatRequest, ModelCall, Operation
from runestone.lib import sse
from runestone.lib.errors import UpstreamBroken, UpstreamError
from runestone.lib.usage import Usage
from tests.cast import Account, add_mock_model, wait_until_served
from tests.providers.calls import recording, target
from tests.providers.contract import Spoken, every_check

# A vendor is a row.


class Vendor(BaseHTTPRequestHandler):
    """It knows no `max_completion_tokens`, wants to be told who calls, and streams as Mistral."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        fields = msgspec.json.decode(body)
        self.asked.append({**fields, "path": self.path, "from": self.headers["X-Title"]})
        name, kind = "mistral/answer_thinking", "application/json"
        if fields.get("stream"):
            name, kind = "mistral/stream_tools", sse.MEDIA_TYPE
        answer = recording(name)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's own name
        pass


@pytest.fixture
def vendor() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def test_a_vendor_is_a_row(client: openai.OpenAI, vendor: str, acme: Account):
    slug = f"newcomer-{uuid4().hex[:8]}"
    upstream = Upstream(
        slug=slug,
        name="Newcomer",
        dialect="openai",
        base_url=vendor,
        quirks={
            "drop_fields": ["store"],
            "rename_fields": {"max_completion_tokens": "max_tokens"},
            "refuse_fields": ["logprobs"],
            "headers": {"X-Title": "Acme"},
            "query": {"version": "7"},
            "mend": ["content", "tool_calls", "usage"],
        },
    )
    upstream.full_clean()
    upstream.save()
    add_mock_model(slug, "newcomer-large", upstream=upstream)
    wait_until_served(client, slug)
    messages: Any = [{"role": "user", "content": "2+2?"}]

    completion = client.chat.completions.create(
        model=slug, messages=messages, max_completion_tokens=5, store=True
    )
    with client.chat.completions.stream(model=slug, messages=messages) as stream:
        streamed = stream.get_final_completion()
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=slug, messages=messages, logprobs=True)

    whole, _ = Vendor.asked[-2:]
    assert whole["path"] == "/v1/chat/completions?version=7"
    assert (whole["model"], whole["max_tokens"], whole["from"]) == ("newcomer-large", 5, "Acme")
    assert not whole.keys() & {"store", "max_completion_tokens"}
    assert completion.choices[0].message.content == "4"
    tools = streamed.choices[0].message.tool_calls
    assert [tool.function.name for tool in tools] == ["get_weather", "get_time"]
    assert caught.value.param == "logprobs"
    first, second = acme.lines(2)
    assert (first.upstream, first.input_tokens, first.output_tokens) == (slug, 28, 35)
    assert first.amount_pico == 28 * 150_000 + 35 * 600_000
    assert second.amount_pico == 96 * 150_000 + 23 * 600_000


def test_a_row_without_a_key_shows_nothing(client: openai.OpenAI):
    assert Upstream.objects.filter(slug="groq", enabled=False).exists()
    assert "gpt-oss-120b" not in {model.id for model in client.models.list()}
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(
            model="gpt-oss-120b", messages=[{"role": "user", "content": "x"}]
        )


# A wire format is one file.

NOT_AN_ANSWER = "The provider's answer is not what was asked for."


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """`{"say", "spent"}`, whole; of a stream, a line has one of them, or `oops`."""

    say: str = ""
    spent: tuple[int, int] | None = None
    oops: str = ""


class TinyDialect:
    name: ClassVar[str] = "tiny"
    operations: ClassVar[frozenset[Operation]] = frozenset({CHAT})
    stream_type: ClassVar[str] = "text/tiny"
    request_id_header: ClassVar[str] = "tiny-id"
    names_output_cap: ClassVar[bool] = False

    def request(
        self, call: ModelCall, target: Target, *, output_tokens_max: int | None
    ) -> UpstreamRequest:
        request = cast(ChatRequest, call.request)
        fields = {
            "model": target.upstream_model,
            "texts": [message.content for message in request.messages],
            "most": output_tokens_max or request.output_tokens_asked,
            "lines": request.streams,
        }
        headers = {"content-type": "application/json", "tiny-key": target.credential or ""}
        return UpstreamRequest(target.base_url + "/talk", headers, msgspec.json.encode(fields))

    def answer(self, call: ModelCall, body: bytes) -> Answer:
        said = _read(body)
        if said.spent is None:
            raise UpstreamBroken(NOT_AN_ANSWER)
        message = {"role": "assistant", "content": said.say, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        whole = {**_head("chat.completion"), "choices": [choice], "usage": _figures(said.spent)}
        return Answer(msgspec.json.encode(whole), _usage(said.spent))

    def relay(self, call: ModelCall) -> "TinyRelay":
        return TinyRelay(wants_usage_chunk=call.request.wants_usage_chunk)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return refusal(status, headers, {"message": body.decode(errors="replace")})


class TinyRelay:
    def __init__(self, *, wants_usage_chunk: bool) -> None:
        self._wants_usage_chunk = wants_usage_chunk
        self._rest = b""

    def feed(self, data: bytes) -> Relayed:
        events, pieces, text_bytes = b"", 0, 0
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            for line in lines:
                said = _read(line)
                if said.spent is not None:
                    usage = _usage(said.spent)
                    return Relayed(
                        events + self._end(said.spent), usage, pieces, text_bytes, True, None
                    )
                events += _chunk({"role": "assistant", "content": said.say})
                pieces, text_bytes = pieces + 1, text_bytes + len(said.say.encode())
        except UpstreamError as failure:
            return Relayed(events, None, pieces, text_bytes, False, failure)
        return Relayed(events, None, pieces, text_bytes, False, None)

    def finish(self) -> bytes:
        raise UpstreamBroken("The provider's stream was cut off before its end.")

    def _end(self, spent: tuple[int, int]) -> bytes:
        end = _chunk({}, "stop")
        if self._wants_usage_chunk:
            last = {**_head("chat.completion.chunk"), "choices": [], "usage": _figures(spent)}
            end += sse.encode(msgspec.json.encode(last))
        return end + sse.encode(sse.DONE)


def _read(data: bytes) -> Said:
    try:
        said = msgspec.json.decode(data, type=Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamBroken(NOT_AN_ANSWER) from None
    if said.oops:
        raise refusal(502, {}, {"message": said.oops})
    return said


def _usage(spent: tuple[int, int]) -> Usage | None:
    figures = {"input_tokens": spent[0], "output_tokens": spent[1]}
    try:
        return msgspec.convert(figures, Usage)
    except msgspec.ValidationError:
        return None


def _figures(spent: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": spent[0], "completion_tokens": spent[1], "total_tokens": sum(spent)}


def _head(kind: str) -> dict[str, Any]:
    return {"id": "tiny-1", "object": kind, "created": 0, "model": "tiny"}


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return sse.encode(msgspec.json.encode({**_head("chat.completion.chunk"), "choices": [choice]}))


TINY = Spoken(
    TinyDialect(),
    answer=b'{"say":"Hello there","spent":[9,2]}',
    stream=b'{"say":"Hello"}\n{"say":" there"}\n{"spent":[9,2]}\n',
    failure=b'{"say":"Hello"}\n{"oops":"out of words"}\n',
    refusal=b"Come back later.",
)


@every_check
def test_a_wire_format_is_one_file(check):
    check(TINY)


def test_it_takes_its_place_among_the_others(monkeypatch: pytest.MonkeyPatch):
    tiny: Dialect = TinyDialect()
    monkeypatch.setitem(DIALECTS, tiny.name, tiny)
    assert dialect_of(target(dialect="tiny")) is tiny
    upstream = Upstream(slug="t", name="T", dialect="tiny", base_url="https://tiny.test")
    upstream.clean_fields()
