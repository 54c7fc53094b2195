"""The JSON endpoints, by Django REST framework, called from our lean ASGI handler.

Through Django's own handler a DRF view costs seventeen times as much (decision 0003).
"""

from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any

import msgspec
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import errors, gateway
from api.pipeline import Offer
from api.requests import Call
from providers.wire import CHAT, Operation
from runestone.lib.money import usd_from_pico

Handler = Callable[..., Awaitable[Response | bytes]]


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        return data if isinstance(data, bytes) else msgspec.json.encode(data)


class AlwaysJSON(BaseContentNegotiation):
    """SDKs send all sorts of Accept headers, even for streams; the wire format is one."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class AsyncAPIView(APIView):
    """An APIView whose methods are coroutines, and which sends OpenAI's errors."""

    # DRF's own answer describes serializers, of which there are none here.
    options = None  # type: ignore[assignment]
    content_negotiation_class = AlwaysJSON
    renderer_classes = [JSONRenderer]
    parser_classes = []

    async def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Response | bytes:  # type: ignore[override]  # the async twin of APIView.dispatch
        """A handler may return bytes: a body in JSON already, which DRF need not look at."""
        self.args, self.kwargs, self.headers, self.format_kwarg = args, kwargs, {}, None
        self.request = drf_request = self.initialize_request(request, *args, **kwargs)
        try:
            handler = self._handler((drf_request.method or "").lower())
            if handler is None:
                allowed = filter(self._handler, self.http_method_names)
                raise errors.not_allowed(drf_request.method, map(str.upper, allowed))
            answer = await handler(drf_request, *args, **kwargs)
            if isinstance(answer, bytes):
                return answer
        except Exception as error:  # noqa: BLE001 -- every error leaves in OpenAI's shape
            answer = self.handle_exception(error)
        accepted = self.perform_content_negotiation(drf_request)
        drf_request.accepted_renderer, drf_request.accepted_media_type = accepted
        return self.finalize_response(drf_request, answer, *args, **kwargs)

    def get_exception_handler(self) -> Any:
        return errors.drf_handler

    def _handler(self, name: str) -> Handler | None:
        """The one of an HTTP method. `setup` is an attribute, too, but no method of HTTP."""
        return getattr(self, name, None) if name in self.http_method_names else None


def call_of(request: Request) -> Call:
    call: Call = request._request.scope["call"]  # type: ignore[attr-defined]  # an ASGIRequest
    return call


class ModelView(AsyncAPIView):
    """An endpoint that asks a model something: its `operation`."""

    operation: Operation = CHAT

    async def post(self, request: Request) -> bytes:
        runestone = await gateway.current()
        return await runestone.pipeline.complete(call_of(request), self.operation)


class Models(AsyncAPIView):
    async def get(self, request: Request) -> Response:
        runestone = await gateway.current()
        offers = await runestone.pipeline.models(call_of(request))
        return Response({"object": "list", "data": [model_object(offer) for offer in offers]})


class ModelDetail(AsyncAPIView):
    async def get(self, request: Request, name: str) -> Response:
        runestone = await gateway.current()
        return Response(model_object(await runestone.pipeline.model(call_of(request), name)))


def model_object(offer: Offer) -> dict[str, Any]:
    """A model in OpenAI's shape, and beside it what one chooses models by.

    Costs are exact decimal strings in US dollars, null where no price is known.
    """
    model = offer.model
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.created.timestamp()),
        "owned_by": model.owned_by,
        "provider": model.targets[0].upstream,
        "capabilities": model.capabilities,
        "cost_per_1k_tokens": {
            "input": _per_1k(offer.input_rate),
            "output": _per_1k(offer.output_rate),
        },
        "max_tokens": model.max_output_tokens,
        "context_window": model.context_window,
    }


def _per_1k(pico_per_token: Fraction | None) -> str | None:
    if pico_per_token is None:
        return None
    return f"{usd_from_pico(round(pico_per_token * 1_000)).normalize():f}"
