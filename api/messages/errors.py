"""The face that errors show under `/v1/messages`: Anthropic's.

A `GatewayError` says what went wrong; `MessagesError` says the same in Anthropic's shape. Every
door (DRF's handler, the consumer, the router's last wall) renders an error by its `status`,
`headers` and `body()`, so an error that is raised with this face keeps it whichever way it leaves.
"""

from typing import Any

import msgspec
from rest_framework.response import Response

from api import errors
from api.requests import Call
from runestone.lib.errors import GatewayError
from runestone.lib.ids import request_name

PREFIX = "/v1/messages"
REQUEST_ID = "request-id"

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Model(msgspec.Struct):
    model: str = ""


_model = msgspec.json.Decoder(_Model)


class MessagesError(GatewayError):
    """`{"type": "error", "error": {type, message}, "request_id"}`"""

    def __init__(self, error: GatewayError, call: Call) -> None:
        request_id = request_name(call.request_id)
        super().__init__(
            _message(error, call),
            param=error.param,
            code=error.code,
            headers={**error.headers, REQUEST_ID: request_id},
        )
        self.status = error.status
        self.type = _type(error.status)
        self._request_id = request_id

    def body(self) -> dict[str, Any]:
        return {
            "type": "error",
            "error": {"type": self.type, "message": self.message},
            "request_id": self._request_id,
        }


def faced(error: Exception, call: Call) -> MessagesError:
    if isinstance(error, MessagesError):
        return error
    return MessagesError(errors.as_gateway_error(error), call)


def drf_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler for the views here."""
    call: Call = context["request"]._request.scope["call"]
    return errors.drf_handler(faced(error, call), context)


def _type(status: int) -> str:
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def _message(error: GatewayError, call: Call) -> str:
    if error.code != "model_not_found":
        return error.message
    try:
        return f"model: {_model.decode(call.body).model}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return error.message
