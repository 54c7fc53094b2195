"""Who is at the other end when proxies are in between.

`X-Forwarded-For` and `X-Forwarded-Proto` are believed only of a peer in RUNESTONE_TRUSTED_PROXIES;
anybody else could write into them what he likes. Start the server without a belief of its own:
`uvicorn --no-proxy-headers`.
"""

from collections.abc import Sequence

from django.conf import settings

from api.requests import Scope
from tenants import allow_lists

_trusted = allow_lists.networks(settings.RUNESTONE_TRUSTED_PROXIES)


def look_through(scope: Scope, trusted: Sequence[allow_lists.Network] = _trusted) -> None:
    """Puts the caller's own address and scheme into `scope`, if a trusted proxy passes them on."""
    if not trusted or not allow_lists.contain(trusted, _peer(scope)):
        return
    if schemes := _hops(scope, b"x-forwarded-proto"):
        scope["scheme"] = "https" if schemes[-1].lower() == "https" else "http"
    if hops := _hops(scope, b"x-forwarded-for"):
        scope["client"] = (_nearest_stranger(hops, trusted), 0)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _hops(scope: Scope, name: bytes) -> list[str]:
    """The entries of a header that may come several times, the nearest proxy's last."""
    values = (value for key, value in scope["headers"] if key == name)
    return [hop.strip() for value in values for hop in value.decode("latin-1").split(",")]


def _nearest_stranger(hops: Sequence[str], trusted: Sequence[allow_lists.Network]) -> str:
    """From right to left the first that is no proxy of ours: what is left of it may be made up."""
    address = ""
    for hop in reversed(hops):
        address = _without_port(hop)
        if not allow_lists.contain(trusted, address):
            break
    return address if allow_lists.address_of(address) is not None else ""


def _without_port(hop: str) -> str:
    """Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
