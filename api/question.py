"""What is asked, by whom, and which ways there are to an answer."""

from msgspec import Struct

from api.requests import Call
from providers.routing import Option
from providers.wire import ModelCall
from runestone.lib.policy import RoutingPolicy
from tenants.authentication import Caller


class Question(Struct, frozen=True):
    """A call that is understood, but not yet brought anywhere."""

    call: Call
    caller: Caller
    asked: ModelCall
    # Of the model that is meant, or of all like it; which of them can be gone now is not asked yet.
    options: list[Option]
    policy: RoutingPolicy
