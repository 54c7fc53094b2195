"""The shapes of answers, for the document only: the gateway passes most of them as bytes.

An answer may have more fields than these. OpenAI's own description is the judge of those that
OpenAI defines; the tests hold real answers against it, and against this.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from providers.wire.kinds import JSONObject

JSONArray = list[Any]
Index = Annotated[int, Meta(ge=0)]
Tokens = Annotated[int, Meta(ge=0)]
_USD = Meta(description="US dollars, as an exact decimal. Null where no price is known.")


class Own(Struct, kw_only=True):
    provider: Annotated[str, Meta(description="The upstream that answered.")]
    routing_policy: Annotated[str, Meta(description="By which rule it was chosen.")]
    request_id: Annotated[str, Meta(description="The caller's own, or `req_…` as in the log.")]


class OwnOnce(Struct, kw_only=True):
    """In the first event only."""

    provider: Annotated[str | None, Meta(description="The upstream; in the first event only.")] = (
        None
    )
    routing_policy: Annotated[str | None, Meta(description="In the first event only.")] = None
    request_id: Annotated[str | None, Meta(description="In the first event only.")] = None


class Usage(Struct, kw_only=True):
    prompt_tokens: Tokens
    completion_tokens: Tokens = 0
    total_tokens: Tokens
    prompt_tokens_details: JSONObject | None = None
    completion_tokens_details: JSONObject | None = None


# Errors.


class ErrorFields(Struct, kw_only=True):
    message: str
    type: str
    param: Annotated[str | None, Meta(description="Which field: `messages[0].content`.")]
    code: str | int | None


class Error(Struct, kw_only=True):
    """OpenAI's error, so that its SDKs raise their own exceptions."""

    error: ErrorFields


class MessagesErrorFields(Struct, kw_only=True):
    type: str
    message: str


class MessagesError(Struct, kw_only=True):
    """Anthropic's error, so that its SDKs raise their own exceptions."""

    type: Literal["error"]
    error: MessagesErrorFields
    request_id: str


# Chat.


class Message(Struct, kw_only=True):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None = None
    annotations: JSONArray | None = None
    tool_calls: list[JSONObject] | None = None
    function_call: JSONObject | None = None
    audio: JSONObject | None = None


class Choice(Struct, kw_only=True):
    index: Index
    message: Message
    logprobs: JSONObject | None = None
    finish_reason: str


class ChatCompletion(Own, kw_only=True):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


class ChunkChoice(Struct, kw_only=True):
    index: Index
    delta: Annotated[JSONObject, Meta(description="`role`, `content`, `refusal`, `tool_calls`.")]
    logprobs: JSONObject | None = None
    finish_reason: str | None = None


class ChatCompletionChunk(OwnOnce, kw_only=True):
    """What is in each `data:` line but the last, which is `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Annotated[
        Usage | None,
        Meta(description="In the last chunk, if `stream_options.include_usage` asks for it."),
    ] = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


# Legacy completions; their chunks have the same form.


class TextChoice(Struct, kw_only=True):
    index: Index
    text: str
    logprobs: JSONObject | None = None
    finish_reason: str | None = None


class Completion(Own, kw_only=True):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None


class CompletionChunk(OwnOnce, kw_only=True):
    """What is in each `data:` line but the last, which is `[DONE]`."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None


# Embeddings and moderations.


class Embedding(Struct, kw_only=True):
    object: Literal["embedding"]
    index: Index
    embedding: Annotated[
        list[float] | str, Meta(description="Floats, or base64 of little-endian float32.")
    ]


class EmbeddingUsage(Struct, kw_only=True):
    prompt_tokens: Tokens
    total_tokens: Tokens


class EmbeddingList(Own, kw_only=True):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class ModerationResult(Struct, kw_only=True):
    flagged: bool
    categories: JSONObject
    category_scores: JSONObject
    category_applied_input_types: JSONObject | None = None


class Moderation(Own, kw_only=True):
    id: str
    model: str
    results: list[ModerationResult]


# Models.


class Cost(Struct, kw_only=True):
    input: Annotated[str | None, _USD]
    output: Annotated[str | None, _USD]


class Model(Struct, kw_only=True):
    """OpenAI's fields, and beside them what one chooses models by."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    provider: Annotated[str, Meta(description="The upstream that is tried first.")]
    capabilities: list[str]
    cost_per_1k_tokens: Cost
    max_tokens: Annotated[int | None, Meta(description="The longest answer.")]
    context_window: int | None


class ModelList(Struct, kw_only=True):
    object: Literal["list"]
    data: list[Model]


# Responses.


class ResponseError(Struct, kw_only=True):
    code: str
    message: str


class Response(Struct, kw_only=True):
    """The request's fields come back in it, and are not all listed here."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["completed", "failed", "in_progress", "incomplete"]
    error: ResponseError | None
    incomplete_details: JSONObject | None
    model: str
    output: list[JSONObject]
    previous_response_id: str | None
    store: bool
    usage: JSONObject | None
    metadata: dict[str, str]
    provider: Annotated[str | None, Meta(description="The upstream that answered.")] = None
    routing_policy: Annotated[str | None, Meta(description="By which rule it was chosen.")] = None
    request_id: str | None = None


class ResponseEvent(Struct, kw_only=True):
    """Each has its type in its `event:` line as well. There is no `[DONE]`."""

    type: str
    sequence_number: Index


class ResponseDeleted(Struct, kw_only=True):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ResponseItemList(Struct, kw_only=True):
    object: Literal["list"]
    data: list[JSONObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


# Anthropic's messages.


class MessagesUsage(Struct, kw_only=True):
    input_tokens: Tokens
    output_tokens: Tokens


class AnthropicMessage(Struct, kw_only=True):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[JSONObject]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessagesUsage


class MessagesEvent(Struct, kw_only=True):
    """Each has its type in its `event:` line as well. The last is `message_stop`."""

    type: Literal[
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    ]


class TokenCount(Struct, kw_only=True):
    input_tokens: Annotated[Tokens, Meta(description="An estimate; no provider is asked.")]


# Health.


class Alive(Struct, kw_only=True):
    status: Literal["ok"]


class Ready(Struct, kw_only=True):
    status: Literal["ok", "unavailable"]
    checks: Annotated[dict[str, str], Meta(description="By name: `ok`, or what is wrong with it.")]


class Health(Ready, kw_only=True):
    version: str


class ProviderHealth(Struct, kw_only=True):
    state: Annotated[
        Literal["closed", "open", "half_open"],
        Meta(description="Of its circuit breaker: only a closed one lets all calls through."),
    ]
    open_for_seconds: Annotated[
        float, Meta(ge=0, description="Until an open provider may be tried; else 0.")
    ]
    up: Annotated[bool | None, Meta(description="The last probe was answered; null: none lately.")]
    probed: Annotated[str | None, Meta(description="When the last probe was made.")]
    problem: Annotated[str | None, Meta(description="What the last probe found wrong.")]
    calls: Annotated[int, Meta(ge=0, description="In the last five minutes, as are the figures.")]
    error_rate: Annotated[float, Meta(ge=0, le=1)] | None
    latency_ms: Annotated[float, Meta(ge=0, description="To the first byte, on average.")] | None


class ProvidersHealth(Struct, kw_only=True):
    status: Annotated[
        Literal["ok", "degraded", "unavailable"],
        Meta(description="`unavailable`: the breakers of all providers are open."),
    ]
    providers: Annotated[dict[str, ProviderHealth], Meta(description="By the provider's name.")]
