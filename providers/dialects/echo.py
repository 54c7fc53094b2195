"""An upstream without a network: it speaks OpenAI's wire and repeats the last user message.

For trying things out with no provider and no second process. Its base URL is `echo://`; the client
asks `respond` for the bytes that a server would have sent.
"""

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from providers.dialects.base import UpstreamRequest
from providers.dialects.openai import OpenAIDialect
from providers.wire import CHAT, ChatRequest, Operation
from providers.wire.chat import User
from runestone.lib import sse

SCHEME = "echo://"
_ID = "chatcmpl-echo"
_request = msgspec.json.Decoder(ChatRequest)


class EchoDialect(OpenAIDialect):
    name: ClassVar[str] = "echo"
    operations: ClassVar[frozenset[Operation]] = frozenset({CHAT})


def respond(request: UpstreamRequest) -> Iterator[bytes]:
    """The body of the answer, in the pieces in which it arrives. A token is a word."""
    asked = _request.decode(request.body)
    words = _last_words(asked)
    cap = asked.output_tokens_asked
    said = words[:cap]
    usage = {
        "prompt_tokens": len(words),
        "completion_tokens": len(said),
        "total_tokens": len(words) + len(said),
    }
    reason = "stop" if len(said) == len(words) else "length"
    if asked.stream:
        yield from _stream(asked.model, said, reason, usage)
    else:
        message = {"role": "assistant", "content": " ".join(said), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        yield msgspec.json.encode(
            {**_head("chat.completion", asked.model), "choices": [choice], "usage": usage}
        )


def _stream(
    model: str | None, words: list[str], reason: str, usage: dict[str, int]
) -> Iterator[bytes]:
    head = _head("chat.completion.chunk", model)

    def event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return sse.encode(msgspec.json.encode({**head, "choices": [choice], "usage": None}))

    yield event({"role": "assistant", "content": ""})
    for number, word in enumerate(words):
        yield event({"content": word if number == 0 else f" {word}"})
    yield event({}, reason)
    yield sse.encode(msgspec.json.encode({**head, "choices": [], "usage": usage}))
    yield sse.encode(sse.DONE)


def _head(kind: str, model: str | None) -> dict[str, object]:
    return {"id": _ID, "object": kind, "created": 0, "model": model}


def _last_words(request: ChatRequest) -> list[str]:
    for message in reversed(request.messages):
        if isinstance(message, User):
            if isinstance(message.content, str):
                return message.content.split()
            texts = (getattr(part, "text", "") for part in message.content)
            return " ".join(texts).split()
    return []
