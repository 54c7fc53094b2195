"""Which upstreams may serve a call, and in which order they are tried.

Every way there is goes through the same checks, in the order of `_CHECKS`; the first that fails is
why it is left out. Those that are left are ordered by policy. The decision keeps all of it, so that
whoever asks later can be told. Nothing here does I/O: what traffic and prices say comes with
`Outlook`.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import ceil
from typing import Any, Protocol

from msgspec import Struct

from providers import tokens
from providers.catalog import CatalogModel, unknown
from providers.dialects import DIALECTS
from providers.dialects.base import Target
from providers.keyring import COOL_SECONDS_MAX
from providers.wire import ModelCall
from runestone.lib.errors import BadRequest, GatewayError, Unavailable, UpstreamRefused
from runestone.lib.money import PICO_PER_USD
from runestone.lib.policy import RoutingPolicy


class Option(Struct, frozen=True):
    """One way to serve a call."""

    model: CatalogModel
    target: Target


class Outlook(Protocol):
    """What is known of the ways at this moment."""

    def permits(self, upstream: str) -> bool:
        """Whether its breaker lets a call through."""
        ...

    def seconds_until_trial(self, upstream: str) -> float: ...

    def seconds_until_ready(self, target: Target, tenant_id: int) -> float:
        """Until one of the tenant's credentials there has rested; 0 if one has."""
        ...

    def latency(self, upstream: str, model: str) -> float | None:
        """Seconds to the first byte; None if that is not known."""
        ...

    def has_room(self, target: Target) -> bool:
        """Whether one more call may be under way there."""
        ...

    def cost(self, call: ModelCall, option: Option) -> int | None:
        """What the call will probably cost there, in pico-USD; None if no price is known."""
        ...

    def highest_rate(self, call: ModelCall, option: Option) -> Fraction | None:
        """The most that a token of it can cost there, in pico-USD; None if no price is known."""
        ...


class Errand(Struct, frozen=True):
    """A call that has to be brought somewhere, and for whom."""

    call: ModelCall
    tenant_id: int
    policy: RoutingPolicy


class LeftOut(Struct, frozen=True):
    """An option, the error that it would lead to, and how many checks it had passed before."""

    option: Option
    obstacle: GatewayError
    passed: int


class Decision(Struct, frozen=True):
    """`candidates` in the order in which to try them; never empty."""

    policy: RoutingPolicy
    candidates: tuple[Option, ...]
    left_out: tuple[LeftOut, ...]

    def told(self) -> dict[str, Any] | None:
        """For the ledger: None where there was nothing to decide."""
        if len(self.candidates) == 1 and not self.left_out:
            return None
        return {
            "policy": self.policy.value,
            "candidates": [_name(option) for option in self.candidates],
            "left_out": {_name(each.option): each.obstacle.message for each in self.left_out},
        }


def decide(errand: Errand, options: Sequence[Option], outlook: Outlook) -> Decision:
    """Raises the error of the option that came closest if none is left. `options` has one."""
    candidates: list[Option] = []
    left_out: list[LeftOut] = []
    for option in options:
        obstacle = _obstacle(errand, option, outlook)
        if obstacle is None:
            candidates.append(option)
        else:
            left_out.append(obstacle)
    if not candidates:
        raise max(left_out, key=lambda each: each.passed).obstacle
    if len(candidates) > 1:
        candidates = _ORDERS[errand.policy](candidates, errand, outlook)
    return Decision(errand.policy, tuple(candidates), tuple(left_out))


def _obstacle(errand: Errand, option: Option, outlook: Outlook) -> LeftOut | None:
    for passed, check in enumerate(_CHECKS):
        obstacle = check(errand, option, outlook)
        if obstacle is not None:
            return LeftOut(option, obstacle, passed)
    return None


# The checks. Each gives the error that the caller gets if it is what stands in the way everywhere.


def _is_pinned_here(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    pinned = errand.call.request.provider
    if pinned in (None, option.target.upstream):
        return None
    return _no_route("provider", f"it does not serve '{option.model.name}'")


def _serves_tenant(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    if option.target.serves(errand.tenant_id):
        return None
    return unknown(option.model.name)


def _can_operate(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    operation, known = errand.call.operation, option.model.capabilities
    is_carried = operation in DIALECTS[option.target.dialect].operations
    if is_carried and (not known or operation.capability in known):
        return None
    return BadRequest(
        f"The model `{option.model.name}` does not support {operation.capability}.",
        param="model",
        code="unsupported_operation",
    )


def _is_of_family(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    if errand.call.request.model_family in (None, option.model.family):
        return None
    return _no_route("model_family", f"'{option.model.name}' is not of this family")


def _has_what_is_asked(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    asked = errand.call.request.capabilities
    missing = set(asked or ()) - set(option.model.capabilities)
    if not missing:
        return None
    return _no_route("capabilities", f"'{option.model.name}' lacks {', '.join(sorted(missing))}")


def _has_what_is_needed(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    known = option.model.capabilities
    # Where nothing is known of a model, it is the provider's to say.
    if not known:
        return None
    for capability, param in errand.call.request.needs:
        if capability not in known:
            return BadRequest(
                f"The model `{option.model.name}` does not support {capability}.",
                param=param,
                code="unsupported_capability",
            )
    return None


def _fits(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    window = option.model.context_window
    if window is None:
        return None
    at_least = tokens.least_input(errand.call, above=window)
    if at_least <= window:
        return None
    return BadRequest(
        f"This model's maximum context length is {window} tokens. However, your request has at "
        f"least {at_least} tokens. Please reduce its length.",
        param=errand.call.request.prompt_field,
        code="context_length_exceeded",
    )


def _is_cheap_enough(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    limit = errand.call.request.max_cost_per_token
    if limit is None:
        return None
    highest = outlook.highest_rate(errand.call, option)
    if highest is not None and highest <= Fraction(limit) * PICO_PER_USD:
        return None
    return _no_route("max_cost_per_token", f"'{option.model.name}' costs more, or is unpriced")


def _is_up(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    upstream = option.target.upstream
    if outlook.permits(upstream):
        return None
    seconds = max(1, round(outlook.seconds_until_trial(upstream)))
    return Unavailable(
        f"The provider of `{option.model.name}` is failing, and is left alone for a moment.",
        code="upstream_unavailable",
        headers={"retry-after": str(seconds)},
    )


def _has_key(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    seconds = outlook.seconds_until_ready(option.target, errand.tenant_id)
    if not seconds:
        return None
    if seconds > COOL_SECONDS_MAX:
        return Unavailable(
            f"The provider of `{option.model.name}` refuses our credentials.",
            code="upstream_refused",
            headers={},
        )
    return UpstreamRefused(
        "The provider's rate limit is reached.",
        status=429,
        type="requests",
        code="rate_limit_exceeded",
        headers={"retry-after": str(ceil(seconds)), "retry-after-ms": str(ceil(seconds * 1_000))},
    )


def _has_room(errand: Errand, option: Option, outlook: Outlook) -> GatewayError | None:
    if outlook.has_room(option.target):
        return None
    return Unavailable(
        f"The provider of `{option.model.name}` has as many calls as it may have at once.",
        code="upstream_busy",
    )


_CHECKS: tuple[Callable[[Errand, Option, Outlook], GatewayError | None], ...] = (
    _serves_tenant,
    _is_pinned_here,
    _is_of_family,
    _can_operate,
    _has_what_is_asked,
    _has_what_is_needed,
    _fits,
    _is_cheap_enough,
    _is_up,
    _has_key,
    _has_room,
)


# The orders.


def _by_default(candidates: list[Option], errand: Errand, outlook: Outlook) -> list[Option]:
    return sorted(_shuffled(candidates), key=lambda option: option.target.priority)


def _by_priority(candidates: list[Option], errand: Errand, outlook: Outlook) -> list[Option]:
    return sorted(candidates, key=lambda option: option.target.priority)


def _by_weight(candidates: list[Option], errand: Errand, outlook: Outlook) -> list[Option]:
    return _shuffled(candidates)


def _by_cost(candidates: list[Option], errand: Errand, outlook: Outlook) -> list[Option]:
    """What has no price comes last: unknown is not cheap."""

    def cost(option: Option) -> tuple[bool, int]:
        known = outlook.cost(errand.call, option)
        return known is None, known or 0

    return sorted(_by_default(candidates, errand, outlook), key=cost)


def _by_latency(candidates: list[Option], errand: Errand, outlook: Outlook) -> list[Option]:
    """What has not been tried of late comes first, or it would never be tried again."""

    def latency(option: Option) -> float:
        return outlook.latency(option.target.upstream, option.model.name) or 0.0

    return sorted(_by_default(candidates, errand, outlook), key=latency)


_ORDERS = {
    RoutingPolicy.DEFAULT: _by_default,
    RoutingPolicy.PRIORITY: _by_priority,
    RoutingPolicy.WEIGHTED: _by_weight,
    RoutingPolicy.COST: _by_cost,
    RoutingPolicy.LATENCY: _by_latency,
}


def _shuffled(candidates: Iterable[Option]) -> list[Option]:
    """In random order, each first as often as its weight says (Efraimidis and Spirakis, 2006)."""
    return sorted(
        candidates,
        key=lambda option: random.random() ** (1 / option.target.weight),  # noqa: S311 -- dice
        reverse=True,
    )


def _no_route(param: str, reason: str) -> BadRequest:
    return BadRequest(
        f"Nothing can serve this call under '{param}': {reason}.", param=param, code="no_route"
    )


def _name(option: Option) -> str:
    return f"{option.target.upstream}/{option.model.name}"
