"""The data plane's front door: one small ASGI router for `/v1`, `/api/v1` and `/health`.

It reads the bounded body once, and hands the call to DRF (an answer in JSON) or to Channels (a
stream). None of Django's middleware is in between: most of it is synchronous, and would put a
thread hop into every request.
"""

import io
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest

from api import compression, errors, gateway, headers
from api.account.views import ReceiptDetail
from api.compression import Unpacker
from api.consumers import ChatStream, CompletionStream
from api.health import Health, Live, Providers, Ready
from api.messages import doors
from api.messages import errors as messages_errors
from api.requests import Call, ClientLeft, Message, Receive, Scope, Send, headers_of, read_body
from api.responses.views import (
    InputItems,
    ResponseCancel,
    ResponseDetail,
    ResponseStream,
    ResponsesView,
)
from api.transport import transport
from api.views import ModelDetail, Models, ModelView
from providers.wire import CHAT, COMPLETION, EMBEDDING, MODERATION
from runestone.lib.errors import NotFound

PREFIXES = ("/v1", "/api/v1", "/health")

_MODELS = "/v1/models/"
_RESPONSES = "/v1/responses/"
_REQUESTS = "/api/v1/requests/"

_VIEWS: dict[str, Callable[..., Any]] = {
    "/v1/chat/completions": ModelView.as_view(operation=CHAT),
    "/v1/completions": ModelView.as_view(operation=COMPLETION),
    "/v1/embeddings": ModelView.as_view(operation=EMBEDDING),
    "/v1/moderations": ModelView.as_view(operation=MODERATION),
    "/v1/messages": doors.Messages.as_view(),
    "/v1/messages/count_tokens": doors.CountTokens.as_view(),
    "/v1/models": Models.as_view(),
    "/v1/responses": ResponsesView.as_view(),
    "/health": Health.as_view(),
    "/health/live": Live.as_view(),
    "/health/providers": Providers.as_view(),
    "/health/ready": Ready.as_view(),
}
_model_detail = ModelDetail.as_view()
# By what follows a request's id.
_OF_A_REQUEST = {"receipt": ReceiptDetail.as_view()}
# By what follows a response's id.
_OF_A_RESPONSE = {
    "": ResponseDetail.as_view(),
    "cancel": ResponseCancel.as_view(),
    "input_items": InputItems.as_view(),
}
_STREAMS = {
    "/v1/chat/completions": ChatStream.as_asgi(),
    "/v1/chat/stream": ChatStream.as_asgi(),
    "/v1/completions": CompletionStream.as_asgi(),
    "/v1/responses": ResponseStream.as_asgi(),
    "/v1/messages": doors.MessagesStream.as_asgi(),
}
# Endpoints of OpenAI's below /v1/responses/ that are no response's id.
_NOT_SERVED = frozenset(("compact", "input_tokens"))
# Runestone's own endpoint streams whatever the body says.
_ALWAYS_STREAM = "/v1/chat/stream"


async def data_plane(scope: Scope, receive: Receive, send: Send) -> None:
    call = Call(headers_of(scope), b"")
    try:
        early = transport.receive(scope, call)
        if early is not None:
            await _answer(send, call, early.status, headers.of_answer(call) | early.headers, b"")
            return
        unpacker = await _unpacker(scope["method"], call)
        call.body = await read_body(receive, settings.RUNESTONE_BODY_BYTES_MAX, unpacker)
        scope["call"] = call
        path = scope["path"].rstrip("/")
        call.must_stream = path == _ALWAYS_STREAM
        if scope["method"] == "POST" and path in _STREAMS and call.wants_stream():
            await _STREAMS[path](scope, _already_read(receive), send)
            return
        view, arguments = _view_of(scope, path)
        # The call has the headers; Django would copy each into an environment that nobody reads.
        request = ASGIRequest({**scope, "headers": []}, io.BytesIO())
        response = await view(request, **arguments)
        if isinstance(response, bytes):
            await _answer(send, call, 200, headers.of_answer(call) | headers.JSON, response)
            return
        response.render()
        named = headers.of_answer(call) | dict(response.headers.items())
        await _answer(send, call, response.status_code, named, response.content)
    except ClientLeft:
        return
    except Exception as error:  # noqa: BLE001 -- the last wall: nothing answers with a traceback
        status, own, body = errors.respond_to(_faced(error, call, scope["path"]))
        named = headers.of_answer(call) | headers.JSON | own
        await _answer(send, call, status, named, body)


def _view_of(scope: Scope, path: str) -> tuple[Callable[..., Any], dict[str, str]]:
    view = _VIEWS.get(path)
    if view is not None:
        return view, {}
    if path in _STREAMS:
        raise errors.not_allowed(scope["method"], ("POST",))
    if path.startswith(_MODELS):
        # SDKs send a model's slash as %2F, curl users as it is; the server has decoded the path.
        return _model_detail, {"name": path.removeprefix(_MODELS)}
    if path.startswith(_RESPONSES):
        name, _, rest = path.removeprefix(_RESPONSES).partition("/")
        if rest in _OF_A_RESPONSE and name not in _NOT_SERVED:
            return _OF_A_RESPONSE[rest], {"name": name}
    if path.startswith(_REQUESTS):
        name, _, rest = path.removeprefix(_REQUESTS).partition("/")
        if rest in _OF_A_REQUEST:
            return _OF_A_REQUEST[rest], {"name": name}
    raise NotFound(f"Invalid URL ({scope['method']} {scope['path']})")


def _faced(error: Exception, call: Call, path: str) -> Exception:
    """Clients of some paths know errors in another shape than OpenAI's."""
    if path.startswith(messages_errors.PREFIX):
        return messages_errors.faced(error, call)
    return error


async def _unpacker(method: str, call: Call) -> Unpacker | None:
    """For a body that comes packed. Nothing is unpacked for a stranger: it would work for free."""
    encoding = call.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity") or method != "POST":
        return None
    await (await gateway.current()).pipeline.admit(call)
    return Unpacker(encoding)


async def _answer(send: Send, call: Call, status: int, named: dict[str, str], body: bytes) -> None:
    if len(body) >= compression.ANSWER_BYTES_MIN and compression.accepts_gzip(
        call.headers.get("accept-encoding", "")
    ):
        body = await compression.packed(body)
        named = {**named, "content-encoding": "gzip"}
    if status != 204:
        named = {**named, "content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (name.lower().encode(), value.encode("latin-1")) for name, value in named.items()
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _already_read(receive: Receive) -> Receive:
    """A `receive` for a consumer whose body the router has read: it only starts it off."""
    started = False

    async def start_then_receive() -> Message:
        nonlocal started
        if started:
            return await receive()
        started = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return start_then_receive
