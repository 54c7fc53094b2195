"""What every dialect owes, whatever its wire: to its caller, to the ledger and to the gateway.

A dialect is held to it with four recordings of its wire, all of the same call: an answer and a
stream that say "Hello there" for 9 tokens in and 2 out, a stream that fails after "Hello", and a
refusal with the status 429. Each check stands alone; `CHECKS` names them all.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from providers.dialects.base import Dialect
from providers.wire import CHAT, OWN_FIELDS
from runestone.lib.errors import UpstreamBroken, UpstreamError
from runestone.lib.sse import DONE, Reader
from runestone.lib.usage import Usage
from tests.providers.calls import RECORDINGS, chat, target

SAID = "Hello there"
USAGE = Usage(input_tokens=9, output_tokens=2)
WITH_USAGE = {"stream_options": {"include_usage": True}}
MUTATIONS = 300


@dataclass(frozen=True)
class Spoken:
    """A dialect, and recordings of what it has to understand."""

    dialect: Dialect
    answer: bytes
    stream: bytes
    failure: bytes
    refusal: bytes
    base_url: str = "https://upstream.test/v1"


def spoken(dialect: Dialect, folder: Path | None = None) -> Spoken:
    """With the recordings of a folder that has its name, unless another is given."""
    folder = folder or RECORDINGS / dialect.name
    names = ("answer", "stream", "failure", "refusal")
    return Spoken(dialect, **{name: (folder / name).read_bytes() for name in names})


class Heard(NamedTuple):
    """What a caller got of a stream, and what the gateway was told meanwhile."""

    data: bytes
    usages: list[Usage]
    pieces: int
    text_bytes: int
    failure: UpstreamError | None

    @property
    def events(self) -> list[bytes]:
        return [event.data for event in Reader().feed(self.data)]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(event) for event in self.events if event != DONE]

    @property
    def text(self) -> str:
        choices = (choice for chunk in self.chunks for choice in chunk["choices"])
        return "".join(choice["delta"].get("content") or "" for choice in choices)


def heard(dialect: Dialect, pieces: Iterable[bytes], **fields: Any) -> Heard:
    """A stream, driven as the pipeline drives it."""
    relay = dialect.relay(chat(**{"stream": True, **fields}))
    data, usages, count, text_bytes = b"", [], 0, 0
    for piece in pieces:
        relayed = relay.feed(piece)
        data += relayed.data
        usages += [relayed.usage] if relayed.usage else []
        count += relayed.pieces
        text_bytes += relayed.text_bytes
        if relayed.done or relayed.failure is not None:
            return Heard(data, usages, count, text_bytes, relayed.failure)
    try:
        return Heard(data + relay.finish(), usages, count, text_bytes, None)
    except UpstreamError as error:
        return Heard(data, usages, count, text_bytes, error)


def cut(stream: bytes, edges: Iterable[int]) -> list[bytes]:
    return [stream[a:b] for a, b in pairwise([0, *sorted(edges), len(stream)])]


# Requests.


def asks_for_the_upstreams_model_with_its_credential(it: Spoken) -> None:
    to = target(base_url=it.base_url, credential="sk-secret", upstream_model="their-model")
    request = it.dialect.request(chat(model="ours"), to, output_tokens_max=None)
    assert request.url.startswith(it.base_url)
    assert "their-model" in request.url + str(json.loads(request.body).get("model"))
    assert any("sk-secret" in value for value in request.headers.values())
    assert "sk-secret" not in request.url + request.body.decode()
    assert request.headers["content-type"] == "application/json"


def asks_without_a_credential_where_there_is_none(it: Spoken) -> None:
    to = target(base_url=it.base_url, credential=None)
    request = it.dialect.request(chat(), to, output_tokens_max=None)
    assert "None" not in str(request.headers)


def is_pure(it: Spoken) -> None:
    call, to = chat(stream=True, max_tokens=3), target(base_url=it.base_url)
    before = dict(call.fields)
    once = it.dialect.request(call, to, output_tokens_max=7)
    assert it.dialect.request(call, to, output_tokens_max=7) == once
    assert call.fields == before


def keeps_our_own_fields_here(it: Spoken) -> None:
    ours = {"provider": "openai", "tenant_id": "acme", "request_id": "mine", "model_family": "x"}
    to = target(base_url=it.base_url)
    body = json.loads(it.dialect.request(chat(**ours), to, output_tokens_max=None).body)
    assert not body.keys() & OWN_FIELDS


def imposes_a_cap(it: Spoken) -> None:
    to = target(base_url=it.base_url)
    assert b"4321" in it.dialect.request(chat(), to, output_tokens_max=4_321).body


# Answers.


def carries_chat(it: Spoken) -> None:
    assert CHAT in it.dialect.operations


def reads_an_answer(it: Spoken) -> None:
    answer = it.dialect.answer(chat(), it.answer)
    assert answer.usage == USAGE
    told = ChatCompletion.model_validate_json(answer.body)
    assert told.choices[0].message.content == SAID
    assert told.choices[0].finish_reason == "stop"
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (9, 2)


def takes_no_part_of_an_answer_for_it(it: Spoken) -> None:
    for end in range(len(it.answer.rstrip())):
        with pytest.raises(UpstreamError):
            it.dialect.answer(chat(), it.answer[:end])


def takes_no_garbage_for_an_answer(it: Spoken) -> None:
    for garbage in (b"", b"null", b"[]", b'"text"', b"<html></html>", b"{}", b"[" * 100_000):
        with pytest.raises(UpstreamBroken):
            it.dialect.answer(chat(), garbage)


# Streams.


def relays_a_stream(it: Spoken) -> None:
    got = heard(it.dialect, [it.stream])
    assert (got.text, got.failure, got.events[-1]) == (SAID, None, DONE)
    for chunk in got.chunks:
        assert ChatCompletionChunk.model_validate(chunk).usage is None
    named = {chunk["id"] for chunk in got.chunks if chunk["id"]}
    assert len(named) == 1
    reasons = [choice["finish_reason"] for chunk in got.chunks for choice in chunk["choices"]]
    assert reasons[-1] == "stop"
    assert not any(reasons[:-1])
    assert got.pieces >= 1
    assert got.text_bytes >= len(SAID)


def tells_the_ledger(it: Spoken) -> None:
    """Once for all that is fed at once; a running usage may come before, the last one stands."""
    assert heard(it.dialect, [it.stream]).usages == [USAGE]
    assert heard(it.dialect, it.stream.splitlines(keepends=True)).usages[-1] == USAGE


def tells_the_caller_who_asks(it: Spoken) -> None:
    got = heard(it.dialect, [it.stream], **WITH_USAGE)
    *ordinary, last = got.chunks
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (9, 2)
    assert not any(chunk.get("usage") for chunk in ordinary)
    assert got.events[-1] == DONE


def gives_the_same_however_bytes_are_cut(it: Spoken) -> None:
    for stream in (it.stream, it.failure):
        whole = _outcome(heard(it.dialect, [stream]))
        for edge in range(1, len(stream)):
            assert _outcome(heard(it.dialect, cut(stream, [edge]))) == whole
        assert _outcome(heard(it.dialect, cut(stream, range(1, len(stream))))) == whole


def says_when_a_stream_is_cut_off(it: Spoken) -> None:
    """The end that is owed may be ours to say; but only where the answer was complete."""
    for end in range(len(it.stream)):
        got = heard(it.dialect, [it.stream[:end]])
        complete = any(
            choice["finish_reason"] for chunk in got.chunks for choice in chunk["choices"]
        )
        assert (DONE in got.events) == (got.failure is None), end
        assert complete or got.failure is not None, end


def gives_what_came_before_a_failure(it: Spoken) -> None:
    got = heard(it.dialect, [it.failure])
    assert got.text == "Hello"
    assert isinstance(got.failure, UpstreamError)
    assert DONE not in got.events


def says_nothing_after_the_end(it: Spoken) -> None:
    got = heard(it.dialect, [it.stream + it.stream])
    assert got.events.count(DONE) == 1
    assert got.text == SAID


def survives_broken_bytes(it: Spoken) -> None:
    """Only an UpstreamError may come of them, or an answer that says something else."""
    dice = Random(it.dialect.name)
    for _ in range(MUTATIONS):
        heard(it.dialect, [_mutated(it.stream, dice)])
        try:
            json.loads(it.dialect.answer(chat(), _mutated(it.answer, dice)).body)
        except UpstreamError:
            pass
        except UnicodeDecodeError:
            # Bytes that pass untouched are no better than they came.
            assert it.dialect.answer(chat(), it.answer).body == it.answer


# Refusals.


def sorts_refusals(it: Spoken) -> None:
    for status, ours in ((400, 400), (401, 502), (403, 502), (404, 502), (500, 502), (503, 503)):
        error = it.dialect.error(status, {}, it.refusal)
        assert error.status == ours, status
        assert error.message


def tells_how_long_to_wait(it: Spoken) -> None:
    error = it.dialect.error(429, {"retry-after": "7"}, it.refusal)
    assert (error.status, error.headers["retry-after"]) == (429, "7")


def survives_any_refusal(it: Spoken) -> None:
    dice = Random(it.dialect.name)
    for body in (
        b"",
        b"[]",
        b"<html>",
        b"[" * 100_000,
        b'{"error":1}',
        b'{"error":{"message":[]}}',
    ):
        assert it.dialect.error(500, {}, body).status == 502
    for _ in range(MUTATIONS):
        assert it.dialect.error(400, {}, _mutated(it.refusal, dice)).status == 400


CHECKS: list[Callable[[Spoken], None]] = [
    asks_for_the_upstreams_model_with_its_credential,
    asks_without_a_credential_where_there_is_none,
    is_pure,
    keeps_our_own_fields_here,
    imposes_a_cap,
    carries_chat,
    reads_an_answer,
    takes_no_part_of_an_answer_for_it,
    takes_no_garbage_for_an_answer,
    relays_a_stream,
    tells_the_ledger,
    tells_the_caller_who_asks,
    gives_the_same_however_bytes_are_cut,
    says_when_a_stream_is_cut_off,
    gives_what_came_before_a_failure,
    says_nothing_after_the_end,
    survives_broken_bytes,
    sorts_refusals,
    tells_how_long_to_wait,
    survives_any_refusal,
]
every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


def _outcome(got: Heard) -> tuple[Any, ...]:
    failure = got.failure and (type(got.failure), got.failure.message)
    # The time at which a chunk was made is its dialect's own affair.
    chunks = [{**chunk, "created": 0} for chunk in got.chunks]
    last_usage = got.usages[-1] if got.usages else None
    return chunks, last_usage, got.pieces, got.text_bytes, failure


def _mutated(data: bytes, dice: Random) -> bytes:
    """Some bytes changed, and perhaps a part left out."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    if dice.random() < 0.5:
        start = dice.randrange(len(changed))
        del changed[start : start + dice.randrange(20)]
    return bytes(changed)
