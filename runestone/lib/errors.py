"""What can go wrong, and the face each error shows to a caller.

    GatewayError                    status, type, code, param, headers; rendered in OpenAI's shape
    ├── BadRequest                  400  the caller's request is wrong; `param` names where
    │   └── BodyTooLarge            413
    ├── Unauthenticated             401  no key, or a key we do not know
    ├── Forbidden                   403  the key is known and may not do this
    ├── NotFound                    404  an unknown model or URL
    ├── MethodNotAllowed            405
    ├── UnsupportedMediaType        415
    ├── BudgetExhausted             429  insufficient_quota; a retry is useless for now
    ├── ModelNotPriced              402  a hard budget cannot be held against an unknown price
    ├── InternalError               500  our own fault; the log has the story
    ├── Unavailable                 503  we cannot take the call right now
    │   └── UpstreamResting              we leave the provider alone for a moment
    ├── CallerLeft                  499  hung up, and the rest of the answer was read without it
    └── UpstreamError               the provider's fault, seen from the caller's side
        ├── UpstreamUnreachable     503  no connection
        ├── UpstreamTimeout         504  connected, but too slow
        ├── UpstreamBroken          502  an answer we cannot use, or one that was cut off
        ├── UpstreamHedged          499  another provider was faster
        └── UpstreamRefused         the provider's own error, its status kept where that helps

Shapes and statuses are those of OpenAI's API, so that its SDKs raise their own exceptions.
"""

from collections.abc import Mapping
from typing import Any

# Tells the official SDKs not to retry what cannot succeed (openai-python and -node obey it).
NO_RETRY: Mapping[str, str] = {"x-should-retry": "false"}


class GatewayError(Exception):
    """An error that is answered to the caller as `{"error": {message, type, param, code}}`."""

    status = 500
    type = "server_error"
    code: str | None = None
    headers: Mapping[str, str] = {}

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code
        if headers is not None:
            self.headers = headers

    def body(self) -> dict[str, Any]:
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}


class BadRequest(GatewayError):
    status = 400
    type = "invalid_request_error"


class BodyTooLarge(BadRequest):
    status = 413
    code = "request_too_large"


class Unauthenticated(GatewayError):
    status = 401
    type = "invalid_request_error"
    code: str | None = "invalid_api_key"


class Forbidden(GatewayError):
    status = 403
    type = "invalid_request_error"
    code = "insufficient_permissions"


class NotFound(GatewayError):
    status = 404
    type = "invalid_request_error"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_supported"


class UnsupportedMediaType(GatewayError):
    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class BudgetExhausted(GatewayError):
    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"
    headers = NO_RETRY


class ModelNotPriced(GatewayError):
    status = 402
    type = "invalid_request_error"
    code = "model_not_priced"
    headers = NO_RETRY


class InternalError(GatewayError):
    status = 500


class Unavailable(GatewayError):
    status = 503
    type = "service_unavailable"
    headers: Mapping[str, str] = {"retry-after": "1"}


class UpstreamError(GatewayError):
    status = 502
    type = "upstream_error"

    # Whether the provider may have begun to work on the call, and so may bill for it.
    billable = True
    # What the provider itself answered; 0 where it did not get that far.
    upstream_status = 0

    @property
    def is_callers_fault(self) -> bool:
        """Whether any other provider would have to refuse the call, too."""
        return False


class UpstreamUnreachable(UpstreamError):
    status = 503
    code = "upstream_unreachable"
    headers: Mapping[str, str] = {"retry-after": "1"}
    billable = False


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"


class UpstreamBroken(UpstreamError):
    status = 502
    code = "upstream_broken"


class UpstreamHedged(UpstreamError):
    """Another attempt at the same call was faster. No caller ever sees it, but the ledger does."""

    status = 499
    code = "hedged"


class UpstreamResting(Unavailable):
    """We leave the provider alone for a moment: it keeps failing, or its credentials are spent."""

    code = "upstream_unavailable"


class CallerLeft(GatewayError):
    """Nobody is there to hear it; the ledger does. The answer was read on for its usage."""

    status = 499
    code = "client_closed_drained"


class UpstreamRefused(UpstreamError):
    """The provider said no, in its own words; its `status` is kept where it is the caller's."""

    code: str | None = "upstream_refused"
    billable = False

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str,  # noqa: A002 -- the wire's own name for it
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        upstream_status: int | None = None,
    ) -> None:
        super().__init__(message, param=param, headers=headers)
        self.status = status
        self.type = type
        self.code = code
        self.upstream_status = status if upstream_status is None else upstream_status

    @property
    def is_callers_fault(self) -> bool:
        return 400 <= self.status < 500 and self.status != 429
