"""Any exception as a response: one shape, OpenAI's, whichever door it leaves by."""

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from rest_framework.response import Response

from runestone.lib.errors import GatewayError, InternalError, MethodNotAllowed

log = logging.getLogger(__name__)


class ErrorResponse(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def as_gateway_error(error: Exception) -> GatewayError:
    """`error` itself if it has a face; else an InternalError, the story being in the log."""
    if isinstance(error, GatewayError):
        return error
    log.error("a call failed in a way nobody expected", exc_info=error)
    return InternalError("The server had an error while processing your request. Sorry about that!")


def not_allowed(method: str | None, allowed: Iterable[str]) -> MethodNotAllowed:
    """The answer to a wrong method names the right ones (RFC 9110, section 15.5.6)."""
    return MethodNotAllowed(
        f"Not allowed to {method} this URL.", headers={"allow": ", ".join(allowed)}
    )


def respond_to(error: Exception) -> ErrorResponse:
    face = as_gateway_error(error)
    return ErrorResponse(face.status, dict(face.headers), msgspec.json.encode(face.body()))


def drf_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER. The body is rendered here, so that no renderer can change it."""
    status, headers, body = respond_to(error)
    return Response(body, status=status, headers=headers)
