"""The judge itself: strict where it should be, and relaxed where OpenAI itself is."""

import copy
from typing import Any

import pytest

from tests.contract.judge import complaint

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "system_fingerprint": None,
}
CHUNK: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {}, "finish_reason": None}],
    "usage": None,
}


@pytest.mark.parametrize(
    ("value", "name"),
    [(ANSWER, "CreateChatCompletionResponse"), (CHUNK, "CreateChatCompletionStreamResponse")],
)
def test_what_openai_sends_is_fine(value: dict[str, Any], name: str):
    assert complaint(value, name) is None


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("id",), None),
        (("object",), "text_completion"),
        (("created",), "today"),
        (("choices", 0, "finish_reason"), None),
        (("choices", 0, "finish_reason"), "eos"),
        (("choices", 0, "message", "content"), 5),
        (("choices", 0, "logprobs"), {}),
    ],
)
def test_what_is_wrong_is_found(place: tuple[Any, ...], wrong: Any):
    value = copy.deepcopy(ANSWER)
    inner: Any = value
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = wrong
    assert complaint(value, "CreateChatCompletionResponse")


def test_what_is_missing_is_found():
    assert complaint({}, "ErrorResponse")
    assert complaint({"error": {"message": "x", "type": "y"}}, "ErrorResponse")
