"""Runestone's own fields, which ride beside OpenAI's in requests and answers."""

from decimal import Decimal

import msgspec

from api.requests import Call
from providers.wire import ModelRequest
from runestone.lib.errors import BadRequest, Forbidden
from runestone.lib.ids import request_name
from tenants.authentication import Caller

# Beyond it a price per token is a mistake, or an attack on our arithmetic.
USD_EXPONENT_MAX = 30


def check(request: ModelRequest, caller: Caller) -> None:
    """Raises BadRequest, or Forbidden: the account that a caller means can only be its key's."""
    if request.tenant_id not in (None, caller.tenant_slug, caller.tenant_id, str(caller.tenant_id)):
        raise Forbidden("This API key does not belong to the tenant in 'tenant_id'.")
    if request.max_cost_per_token is not None:
        check_magnitude(request.max_cost_per_token)


def check_magnitude(usd: Decimal) -> None:
    """Raises BadRequest for what is no amount: arithmetic with 1e99999999 takes minutes."""
    if not usd.is_finite() or usd < 0 or abs(usd.adjusted()) > USD_EXPONENT_MAX:
        raise BadRequest(
            "Invalid 'max_cost_per_token': expected a number of US dollars, 0 or more.",
            param="max_cost_per_token",
            code="invalid_value",
        )


def spliced(answer: bytes, call: Call, request: ModelRequest) -> bytes:
    """A JSON object with our fields at its end, without looking at what is in it."""
    own = {
        "provider": call.provider,
        "routing_policy": call.routing_policy,
        "request_id": request.request_id or request_name(call.request_id),
    }
    return answer.rstrip().removesuffix(b"}") + b"," + msgspec.json.encode(own)[1:]


def spliced_event(events: bytes, call: Call, request: ModelRequest) -> bytes:
    """Server-sent events with our fields in the first one."""
    first, end, rest = events.partition(b"\n\n")
    if not first.endswith(b"}"):
        return events
    return spliced(first, call, request) + end + rest
