"""What each endpoint is for, takes and gives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.views import APIView

from api import health
from api.account.views import ReceiptDetail
from api.contract import examples
from api.contract.components import ref
from api.messages.doors import CountTokens, Messages
from api.responses.pages import ITEMS_DEFAULT, ITEMS_MAX
from api.responses.views import InputItems, ResponseCancel, ResponseDetail, ResponsesView
from api.views import ModelDetail, Models, ModelView

EVENTS = "text/event-stream"
_EVENTS_TOLD = "server-sent events; the schema is that of each."
# Their events have names, and no `[DONE]` at the end.
_NAMED_EVENTS = ("ResponseEvent", "MessagesEvent")
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}, {"xApiKey": []}]

# What each status means; which of them an endpoint can give depends on what it does.
_MEANINGS = {
    400: "The request is wrong; `param` says where.",
    401: "No API key, or one that is not known, expired or revoked.",
    402: "Under a hard budget, and the model has no price.",
    403: "The account is suspended, the key may not do this, or `tenant_id` is another's.",
    404: "There is no such model, object or URL.",
    405: "The URL does not know this method.",
    409: "The provider reports a conflict.",
    413: "The body is larger than this gateway takes.",
    415: "The body is not JSON by its `Content-Type`, or compressed in an unknown way.",
    422: "The provider cannot process the request.",
    429: "A budget is used up (`insufficient_quota`), or the provider's rate limit is reached.",
    500: "A fault of the gateway's own. The log has the story, under the request's id.",
    502: "The provider failed, or its answer cannot be used.",
    503: "The provider cannot be reached, or the gateway cannot take the call now.",
    504: "The provider was too slow.",
}
_ANY = (401, 403, 405, 413, 500, 503)
_BODY = (*_ANY, 400, 404, 415)
_PAID = (*_BODY, 402, 409, 422, 429, 502, 504)
_FINDING = (*_ANY, 400, 404)


class Endpoint(NamedTuple):
    path: str
    view: type[APIView]
    # By method.
    operations: Mapping[str, Callable[..., Any]]


def _header(name: str, description: str, *, only: Sequence[int] | None = None) -> OpenApiParameter:
    return OpenApiParameter(
        name,
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description=description,
        response=True if only is None else list(only),
    )


_REQUEST_ID = _header("x-request-id", "The call's name in the log and in the ledger.")
_PROVIDER = _header("x-runestone-provider", "The upstream that answered.", only=[200])
_CACHE = _header(
    "x-runestone-cache",
    "`hit` or `miss`, if the call is for the cache of answers.",
    only=[200],
)
_CACHE_ASKED = OpenApiParameter(
    "x-runestone-cache",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="How many seconds old an answer to the very same call may be, and for how long "
    "this one is kept; `refresh`, for a new one; `refresh, 60`; or `no-store`. Without it: as the "
    "key says.",
    examples=[OpenApiExample("A minute", "60"), OpenApiExample("Not this call", "no-store")],
)
_RETRY = _header("retry-after", "After how many seconds a retry is worth it.", only=[429, 503])
# Where a model is asked something.
_ASKING = (_PROVIDER, _CACHE, _CACHE_ASKED)


def _operation(
    name: str,
    tag: str,
    summary: str,
    description: str,
    *,
    takes: str | None = None,
    gives: str | None = None,
    streams: str | None = None,
    refusals: Sequence[int] = _ANY,
    error: str = "Error",
    parameters: Sequence[OpenApiParameter] = (),
    shown: Sequence[OpenApiExample] = (),
) -> Callable[..., Any]:
    responses: dict[Any, Any] = {}
    if gives is not None:
        told = "As asked." if streams is None else f"Whole, or as {_EVENTS_TOLD}"
        responses[200] = OpenApiResponse(ref(gives), description=told)
    if streams is not None:
        told = f"As {_EVENTS_TOLD}" if gives is None else f"Whole, or as {_EVENTS_TOLD}"
        responses[(200, EVENTS)] = OpenApiResponse(_event(streams), description=told)
    for status in sorted(refusals):
        responses[status] = OpenApiResponse(ref(error), description=_MEANINGS[status])
    named = [_REQUEST_ID, _RETRY, *(_ASKING if 502 in refusals else ())]
    return extend_schema(
        operation_id=name,
        tags=[tag],
        summary=summary,
        description=description,
        request={"application/json": ref(takes)} if takes is not None else None,
        responses=responses,
        parameters=[*parameters, *named],
        auth=_SECURITY,  # type: ignore[arg-type]  # requirements, as OpenAPI has them
        examples=list(shown),
    )


def _event(data: str) -> dict[str, Any]:
    """One event of a stream, as OpenAPI 3.2 describes them."""
    told = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [ref(data), ref("Error")]},
    }
    fields: dict[str, Any] = {"data": {"anyOf": [{"const": "[DONE]"}, told]}}
    if data in _NAMED_EVENTS:
        fields = {"event": {"type": "string"}, "data": {**told, "contentSchema": ref(data)}}
    return {"type": "object", "required": list(fields), "properties": fields}


def _health(name: str, summary: str, description: str, *, gives: str, may_fail: bool) -> Any:
    responses = {200: OpenApiResponse(ref(gives), description="As it should be.")}
    if may_fail:
        responses[503] = OpenApiResponse(ref(gives), description="The body says what is wrong.")
    for status in (405, 413):
        responses[status] = OpenApiResponse(ref("Error"), description=_MEANINGS[status])
    return extend_schema(
        operation_id=name,
        tags=["Health"],
        summary=summary,
        description=description,
        request=None,
        responses=responses,
        parameters=[_REQUEST_ID],
        auth=[{}],  # type: ignore[list-item]  # no key is needed
    )


def _in_path(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(
        name, {"type": "string", "minLength": 1}, OpenApiParameter.PATH, description=description
    )


_RESPONSE_ID = _in_path("name", "The response's id: `resp_…`.")
_LEDGER_REQUEST_ID = _in_path("name", "The request's id: `req_…`, as in `x-request-id`.")
_MODEL_ID = _in_path("name", "The model's id. A slash in it may be sent as it is, or as `%2F`.")

_STREAM_TOLD = (
    "With `stream: true` it comes as server-sent events, the last of which is `data: [DONE]`. "
    "An error in the midst of a stream is an event with `error` in its data, and ends it."
)

ENDPOINTS = (
    Endpoint(
        "v1/chat/completions",
        ModelView,
        {
            "post": _operation(
                "createChatCompletion",
                "OpenAI",
                "Ask a model, in the form of a conversation",
                _STREAM_TOLD,
                takes="ChatRequest",
                gives="ChatCompletion",
                streams="ChatCompletionChunk",
                refusals=_PAID,
                shown=[*examples.CHAT, *examples.CHUNKS],
            )
        },
    ),
    Endpoint(
        "v1/chat/stream",
        ModelView,
        {
            "post": _operation(
                "streamChatCompletion",
                "OpenAI",
                "The same, always as a stream",
                "Runestone's own: streams whatever `stream` says.",
                takes="ChatRequest",
                streams="ChatCompletionChunk",
                refusals=_PAID,
                shown=[examples.CHAT[0], *examples.CHUNKS],
            )
        },
    ),
    Endpoint(
        "v1/completions",
        ModelView,
        {
            "post": _operation(
                "createCompletion",
                "OpenAI",
                "Continue a text (legacy)",
                _STREAM_TOLD,
                takes="CompletionRequest",
                gives="Completion",
                streams="CompletionChunk",
                refusals=_PAID,
                shown=examples.COMPLETION,
            )
        },
    ),
    Endpoint(
        "v1/embeddings",
        ModelView,
        {
            "post": _operation(
                "createEmbedding",
                "OpenAI",
                "Turn texts into vectors",
                "",
                takes="EmbeddingRequest",
                gives="EmbeddingList",
                refusals=_PAID,
                shown=examples.EMBEDDING,
            )
        },
    ),
    Endpoint(
        "v1/moderations",
        ModelView,
        {
            "post": _operation(
                "createModeration",
                "OpenAI",
                "Judge whether a text or an image is harmful",
                "",
                takes="ModerationRequest",
                gives="Moderation",
                refusals=_PAID,
                shown=examples.MODERATION,
            )
        },
    ),
    Endpoint(
        "v1/models",
        Models,
        {
            "get": _operation(
                "listModels",
                "OpenAI",
                "The models that can be asked",
                "With what they cost and what they can do.",
                gives="ModelList",
            )
        },
    ),
    Endpoint(
        "v1/models/<path:name>",
        ModelDetail,
        {
            "get": _operation(
                "retrieveModel",
                "OpenAI",
                "One model",
                "",
                gives="Model",
                refusals=_FINDING,
                parameters=[_MODEL_ID],
            )
        },
    ),
    Endpoint(
        "api/v1/requests/<str:name>/receipt",
        ReceiptDetail,
        {
            "get": _operation(
                "retrieveReceipt",
                "Runestone",
                "What a request cost, and how that came about",
                "Every attempt with its tokens, the price rows it names, and the arithmetic, so "
                "that the amount can be computed again from this answer alone. A key with the "
                "scope `usage` sees its own tenant's requests; a project's key, its project's.",
                gives="Receipt",
                refusals=_FINDING,
                parameters=[_LEDGER_REQUEST_ID],
            )
        },
    ),
    Endpoint(
        "v1/responses",
        ResponsesView,
        {
            "post": _operation(
                "createResponse",
                "OpenAI",
                "Ask a model, and have the conversation kept",
                "Works with every model, for it is translated to a chat. Tools that run on "
                "OpenAI's servers are refused. The response is kept, sealed, unless `store` is "
                "false. A stream ends with `response.completed`, `.incomplete` or `.failed`.",
                takes="ResponseRequest",
                gives="Response",
                streams="ResponseEvent",
                refusals=_PAID,
                shown=examples.RESPONSE,
            )
        },
    ),
    Endpoint(
        "v1/responses/<str:name>",
        ResponseDetail,
        {
            "get": _operation(
                "retrieveResponse",
                "OpenAI",
                "A response that was kept",
                "",
                gives="Response",
                refusals=_FINDING,
                parameters=[_RESPONSE_ID],
            ),
            "delete": _operation(
                "deleteResponse",
                "OpenAI",
                "Forget a response",
                "",
                gives="ResponseDeleted",
                refusals=_FINDING,
                parameters=[_RESPONSE_ID],
            ),
        },
    ),
    Endpoint(
        "v1/responses/<str:name>/cancel",
        ResponseCancel,
        {
            "post": _operation(
                "cancelResponse",
                "OpenAI",
                "Stop a response in the background: there are none",
                "Always refused, as OpenAI refuses it for a response that was waited for.",
                refusals=_FINDING,
                parameters=[_RESPONSE_ID],
            )
        },
    ),
    Endpoint(
        "v1/responses/<str:name>/input_items",
        InputItems,
        {
            "get": _operation(
                "listInputItems",
                "OpenAI",
                "What a response was asked",
                "",
                gives="ResponseItemList",
                refusals=_FINDING,
                parameters=[
                    _RESPONSE_ID,
                    OpenApiParameter(
                        "limit",
                        {"type": "integer", "minimum": 1, "maximum": ITEMS_MAX},
                        description="So many at most.",
                        default=ITEMS_DEFAULT,
                    ),
                    OpenApiParameter(
                        "order",
                        {"type": "string", "enum": ["asc", "desc"]},
                        description="The oldest or the newest first.",
                        default="desc",
                    ),
                    OpenApiParameter("after", str, description="Begin after this item."),
                ],
            )
        },
    ),
    Endpoint(
        "v1/messages",
        Messages,
        {
            "post": _operation(
                "createMessage",
                "Anthropic",
                "Ask any model in Anthropic's words",
                "Translated to a chat, so it works with every model.",
                takes="MessagesRequest",
                gives="AnthropicMessage",
                streams="MessagesEvent",
                refusals=_PAID,
                error="MessagesError",
                shown=examples.MESSAGES,
            )
        },
    ),
    Endpoint(
        "v1/messages/count_tokens",
        CountTokens,
        {
            "post": _operation(
                "countTokens",
                "Anthropic",
                "Estimate how long a prompt is",
                "No provider is asked, and nothing is charged.",
                takes="MessagesCountTokensRequest",
                gives="TokenCount",
                refusals=_BODY,
                error="MessagesError",
                shown=examples.COUNT_TOKENS,
            )
        },
    ),
    Endpoint(
        "health",
        health.Health,
        {"get": _health("health", "All of it, for people", "", gives="Health", may_fail=True)},
    ),
    Endpoint(
        "health/live",
        health.Live,
        {
            "get": _health(
                "live",
                "Whether the process runs",
                "Restart it if this fails.",
                gives="Alive",
                may_fail=False,
            )
        },
    ),
    Endpoint(
        "health/ready",
        health.Ready,
        {
            "get": _health(
                "ready",
                "Whether it can serve",
                "Send traffic only while this is 200.",
                gives="Ready",
                may_fail=True,
            )
        },
    ),
    Endpoint(
        "health/providers",
        health.Providers,
        {
            "get": _health(
                "providers",
                "How the providers do",
                "Breakers, the last probes, and the traffic of all gateways in the last minutes.",
                gives="ProvidersHealth",
                may_fail=True,
            )
        },
    ),
)
