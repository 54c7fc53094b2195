"""Runestone's own fields, which ride beside OpenAI's in requests and answers."""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from api.requests import Call
from providers.catalog import CatalogModel
from providers.dialects.base import Target
from providers.wire import ModelRequest
from runestone.lib.errors import BadRequest, Forbidden
from runestone.lib.ids import request_name
from tenants.authentication import Caller

# Beyond it a price per token is a mistake, or an attack on our arithmetic.
USD_EXPONENT_MAX = 30
# How a target is chosen at present: by priority, and by weight among equals.
ROUTING_POLICY = "default"


def check_tenant(request: ModelRequest, caller: Caller) -> None:
    """A caller may say whose account it means; it can only be its key's."""
    if request.tenant_id not in (None, caller.tenant_slug, caller.tenant_id, str(caller.tenant_id)):
        raise Forbidden("This API key does not belong to the tenant in 'tenant_id'.")


def narrowed(
    request: ModelRequest, model: CatalogModel, costs_at_most: Callable[[Target], bool]
) -> CatalogModel:
    """`model` with those of its targets that the caller's own fields allow. Raises BadRequest."""
    if request.model_family not in (None, model.family):
        raise _nothing_left("model_family", f"'{model.name}' is not of this family")
    missing = set(request.capabilities or ()) - set(model.capabilities)
    if missing:
        raise _nothing_left("capabilities", f"'{model.name}' lacks {', '.join(sorted(missing))}")
    targets = model.targets
    if request.provider is not None:
        targets = tuple(target for target in targets if target.upstream == request.provider)
        if not targets:
            raise _nothing_left("provider", f"it does not serve '{model.name}'")
    if request.max_cost_per_token is not None:
        check_magnitude(request.max_cost_per_token)
        targets = tuple(target for target in targets if costs_at_most(target))
        if not targets:
            raise _nothing_left("max_cost_per_token", f"'{model.name}' costs more, or is unpriced")
    if targets is model.targets:
        return model
    return msgspec.structs.replace(model, targets=targets)


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
        "routing_policy": ROUTING_POLICY,
        "request_id": request.request_id or request_name(call.request_id),
    }
    return answer.rstrip().removesuffix(b"}") + b"," + msgspec.json.encode(own)[1:]


def spliced_event(events: bytes, call: Call, request: ModelRequest) -> bytes:
    """Server-sent events with our fields in the first one."""
    first, end, rest = events.partition(b"\n\n")
    if not first.endswith(b"}"):
        return events
    return spliced(first, call, request) + end + rest


def _nothing_left(param: str, reason: str) -> BadRequest:
    return BadRequest(
        f"Nothing can serve this call under '{param}': {reason}.",
        param=param,
        code="no_route",
    )
