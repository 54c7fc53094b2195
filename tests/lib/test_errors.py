import json

import pytest

from runestone.lib import errors
from runestone.lib.errors import GatewayError, UpstreamRefused

FACES = [
    (errors.BadRequest, 400, "invalid_request_error", None),
    (errors.BodyTooLarge, 413, "invalid_request_error", "request_too_large"),
    (errors.Unauthenticated, 401, "invalid_request_error", "invalid_api_key"),
    (errors.Forbidden, 403, "invalid_request_error", "insufficient_permissions"),
    (errors.NotFound, 404, "invalid_request_error", None),
    (errors.MethodNotAllowed, 405, "invalid_request_error", "method_not_supported"),
    (errors.UnsupportedMediaType, 415, "invalid_request_error", "unsupported_media_type"),
    (errors.BudgetExhausted, 429, "insufficient_quota", "insufficient_quota"),
    (errors.ModelNotPriced, 402, "invalid_request_error", "model_not_priced"),
    (errors.InternalError, 500, "server_error", None),
    (errors.Unavailable, 503, "service_unavailable", None),
    (errors.UpstreamUnreachable, 503, "upstream_error", "upstream_unreachable"),
    (errors.UpstreamTimeout, 504, "upstream_error", "upstream_timeout"),
    (errors.UpstreamBroken, 502, "upstream_error", "upstream_broken"),
]


def test_it_works():
    error = errors.BadRequest("Wrong.", param="messages[0].role", code="invalid_value")
    assert error.body() == {
        "error": {
            "message": "Wrong.",
            "type": "invalid_request_error",
            "param": "messages[0].role",
            "code": "invalid_value",
        }
    }


@pytest.mark.parametrize(("kind", "status", "type_", "code"), FACES)
def test_each_error_has_its_face(kind, status, type_, code):
    error = kind("Words.")
    assert error.status == status
    shown = json.loads(json.dumps(error.body()))["error"]
    assert shown == {"message": "Words.", "type": type_, "param": None, "code": code}


def test_a_code_given_to_one_error_stays_with_it():
    errors.Forbidden("Suspended.", code="account_suspended")
    assert errors.Forbidden("Other.").code == "insufficient_permissions"


def test_a_refusal_keeps_the_providers_words():
    error = UpstreamRefused(
        "Slow down.", status=429, type="tokens", code=None, headers={"retry-after": "2"}
    )
    assert (error.status, error.type, error.code) == (429, "tokens", None)
    assert error.headers == {"retry-after": "2"}
    assert UpstreamRefused.status == 502


@pytest.mark.parametrize(
    ("kind", "billable"),
    [
        (errors.UpstreamUnreachable, False),
        (errors.UpstreamRefused, False),
        (errors.UpstreamTimeout, True),
        (errors.UpstreamBroken, True),
    ],
)
def test_only_what_may_have_begun_can_be_billed(kind, billable):
    assert kind.billable is billable


def test_a_useless_retry_is_discouraged_and_a_useful_one_timed():
    assert errors.BudgetExhausted("Spent.").headers == {"x-should-retry": "false"}
    assert errors.ModelNotPriced("Unknown.").headers == {"x-should-retry": "false"}
    assert errors.Unavailable("Busy.").headers == {"retry-after": "1"}


def test_all_are_gateway_errors():
    assert all(issubclass(kind, GatewayError) for kind, *_ in FACES)
