"""One request and one answer of each kind, as /docs shows them."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_OWN = {"provider": "openai", "routing_policy": "default", "request_id": "req_0199f3c2a1b47c0e"}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
_HELLO = [{"role": "user", "content": "Say hello."}]


def asked(name: str, value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


def answered(name: str, value: Any, media_type: str = "application/json") -> OpenApiExample:
    return OpenApiExample(
        name, value=value, response_only=True, status_codes=["200"], media_type=media_type
    )


CHAT = [
    asked("A question", {"model": "gpt-4o-mini", "messages": _HELLO}),
    asked(
        "With fields of Runestone",
        {
            "model": "gpt-4o-mini",
            "messages": _HELLO,
            "provider": "openai",
            "max_cost_per_token": "0.000001",
            "request_id": "order-17",
        },
    ),
    asked(
        "A stream",
        {
            "model": "gpt-4o-mini",
            "messages": _HELLO,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    answered(
        "An answer",
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1790000000,
            "model": "gpt-4o-mini",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello!", "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _USAGE,
            **_OWN,
        },
    ),
]
CHUNKS = [
    answered(
        "A stream",
        'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,'
        '"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"role":"assistant","content":""},'
        '"finish_reason":null}],"provider":"openai","routing_policy":"default",'
        '"request_id":"req_0199f3c2a1b47c0e"}\n\n…\n\ndata: [DONE]\n\n',
        "text/event-stream",
    )
]
COMPLETION = [
    asked("A prompt", {"model": "gpt-3.5-turbo-instruct", "prompt": "Say hello.", "max_tokens": 8})
]
EMBEDDING = [asked("Two texts", {"model": "text-embedding-3-small", "input": ["one", "two"]})]
MODERATION = [asked("A text", {"model": "omni-moderation-latest", "input": "Is this harmless?"})]
RESPONSE = [
    asked("A question", {"model": "gpt-4o-mini", "input": "Say hello."}),
    asked(
        "Going on",
        {"model": "gpt-4o-mini", "input": "And again.", "previous_response_id": "resp_0199f3c2"},
    ),
]
MESSAGES = [
    asked("A question", {"model": "gpt-4o-mini", "max_tokens": 64, "messages": _HELLO}),
]
COUNT_TOKENS = [asked("A prompt", {"model": "gpt-4o-mini", "messages": _HELLO})]
