"""Ollama's stream, a JSON object a line, relayed as OpenAI's events."""

from collections.abc import Iterator
from typing import Any

import msgspec

from providers.dialects.base import Relayed
from providers.dialects.ollama import answers
from providers.dialects.ollama.answers import Message, Reply
from runestone.lib import sse
from runestone.lib.errors import UpstreamBroken, UpstreamError
from runestone.lib.usage import Usage

LINE_BYTES_MAX = sse.EVENT_BYTES_MAX


class ChatRelay:
    def __init__(self, *, wants_usage_chunk: bool) -> None:
        self._wants_usage_chunk = wants_usage_chunk
        self._rest = b""
        # Of the answer, from its first line.
        self._name = ""
        self._head: dict[str, Any] = {}
        self._calls = 0
        self._done = False
        # Of the data being fed.
        self._usage: Usage | None = None
        self._pieces = 0
        self._text_bytes = 0

    def feed(self, data: bytes) -> Relayed:
        events: list[bytes] = []
        failure: UpstreamError | None = None
        self._usage = None
        self._pieces = self._text_bytes = 0
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            for line in lines:
                if line.strip() and not self._done:
                    events += map(sse.encode, self._line(line.strip()))
            if len(self._rest) > LINE_BYTES_MAX:
                raise UpstreamBroken("The provider sent a line that is too large.")
        except UpstreamError as error:
            failure = error
        return Relayed(
            b"".join(events), self._usage, self._pieces, self._text_bytes, self._done, failure
        )

    def finish(self) -> bytes:
        raise UpstreamBroken("The provider's stream was cut off before its end.")

    def _line(self, line: bytes) -> Iterator[bytes]:
        reply = answers.read(line)
        if not self._name:
            self._name = answers.name_of(line)
            self._head = answers.head("chat.completion.chunk", self._name, reply)
            yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        for delta in self._deltas(reply.message or Message()):
            yield self._chunk(delta)
        if reply.done:
            yield from self._end(reply)

    def _deltas(self, message: Message) -> Iterator[dict[str, Any]]:
        """Also measures them."""
        if message.thinking:
            self._measure(message.thinking)
            yield {"reasoning_content": message.thinking}
        if message.content:
            self._measure(message.content)
            yield {"content": message.content}
        for call in answers.tool_calls(message, self._name, self._calls):
            self._measure(call["function"]["arguments"])
            yield {"tool_calls": [{"index": self._calls, **call}]}
            self._calls += 1

    def _measure(self, text: str) -> None:
        self._pieces += 1
        self._text_bytes += len(text.encode())

    def _end(self, reply: Reply) -> Iterator[bytes]:
        self._done = True
        self._usage = answers.read_usage(reply.prompt_eval_count, reply.eval_count)
        yield self._chunk({}, answers.finish_reason(reply, called=self._calls > 0))
        if self._wants_usage_chunk and self._usage is not None:
            usage = answers.usage_object(self._usage)
            yield msgspec.json.encode({**self._head, "choices": [], "usage": usage})
        yield sse.DONE

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head, "choices": [choice]}
        if self._wants_usage_chunk:
            chunk["usage"] = None
        return msgspec.json.encode(chunk)
