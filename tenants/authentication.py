"""Who calls: from a header to a `Caller`, without a database in the way.

Keys are looked up once and remembered until any key or tenant changes (runestone/lib/revisions.py),
so a revocation is obeyed everywhere within a second. What is unknown is remembered too, in bounds.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from runestone.lib.batching import Batcher
from runestone.lib.database import Connection
from runestone.lib.errors import Forbidden, Unauthenticated
from tenants import allow_lists, keys
from tenants.allow_lists import Network

KEYS_REMEMBERED_MAX = 100_000

_BEARER = "bearer "
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)
# Under which the anonymous caller is remembered; no key has a digest of no bytes.
_ANONYMOUS = b""


class Presented(Protocol):
    """What a call shows of its caller."""

    # By lower-case name.
    headers: Mapping[str, str]
    # The caller's IP address; empty where there is none.
    address: str
    # The one of a key's scopes that this call needs.
    scope_needed: str


class Caller(Struct, frozen=True, kw_only=True):
    """The tenant, project and key on whose account a call runs, and what the key is good for."""

    tenant_id: int
    tenant_slug: str
    tenant_status: str
    project_id: int | None
    api_key_id: int
    default_model: str
    max_output_tokens: int | None
    # Empty: the installation's.
    routing_policy: str
    hedge_seconds: float | None
    # Whether to read on, for its usage, what a caller has hung up on.
    drains: bool = False
    expires_at: datetime | None
    revoked_at: datetime | None
    # Empty: all models, all scopes. None: from everywhere.
    models_allow: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    networks: tuple[Network, ...] | None = None
    # For so long its answers are kept for calls that say nothing else; None: not at all.
    cache_seconds: int | None = None

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    def may_use(self, model: str) -> bool:
        patterns = self.models_allow
        return not patterns or any(allow_lists.matches(pattern, model) for pattern in patterns)


class Authenticator:
    """Belongs to one event loop."""

    def __init__(self, info: str, pepper: str, *, anonymous_tenant: str = "") -> None:
        """`anonymous_tenant` names the tenant that calls without a key run as; empty: none."""
        self._pepper = pepper
        self._anonymous_tenant = anonymous_tenant
        self._connection = Connection(info)
        self._lookups: Batcher[bytes, Caller | None] = Batcher(self._look_up)
        self._known: OrderedDict[bytes, Caller | None] = OrderedDict()
        self._generation = 0
        # All of them are in memory, so that a malformed text never needs the database.
        self._foreign: frozenset[bytes] = frozenset()

    async def aauthenticate(self, call: Presented) -> Caller:
        """The caller behind a call. Raises Unauthenticated or Forbidden."""
        text = _presented_key(call.headers)
        caller = await (self._behind(text) if text else self._nobody())
        if caller.is_expired:
            raise Unauthenticated("This API key has expired.", code="invalid_api_key")
        if caller.tenant_status != "active":
            raise Forbidden("This account is suspended.", code="account_suspended")
        if caller.networks is not None and not allow_lists.contain(caller.networks, call.address):
            raise _wrong_address(call.address)
        if caller.scopes and call.scope_needed not in caller.scopes:
            raise _lacks(call.scope_needed)
        return caller

    async def reload(self, connection: Connection) -> None:
        """Forgets everything: some key or tenant has changed."""
        self._generation += 1
        self._known.clear()
        rows = await connection.fetch(_FOREIGN, [f"{keys.FOREIGN_PREFIX}%"])
        self._foreign = frozenset(bytes(digest) for [digest] in rows)

    async def close(self) -> None:
        await self._connection.close()

    async def _behind(self, text: str) -> Caller:
        digest = self._digest(text)
        try:
            caller = self._known[digest]
        except KeyError:
            if digest not in self._foreign and not keys.is_well_formed(text):
                raise _unknown(text) from None
            caller = await self._remembered(digest)
        if caller is None or caller.revoked_at is not None:
            raise _unknown(text)
        return caller

    async def _nobody(self) -> Caller:
        """The caller that calls without a key run as, where that is allowed."""
        if not self._anonymous_tenant:
            raise _no_key()
        caller = self._known.get(_ANONYMOUS)
        if caller is None or caller.is_expired:
            caller = await self._remembered(_ANONYMOUS)
        if caller is None:
            raise _no_key()
        return caller

    def _digest(self, text: str) -> bytes:
        if len(text) != keys.KEY_LENGTH and not (
            self._foreign and len(text) <= keys.FOREIGN_LENGTH_MAX
        ):
            raise _unknown(text)
        return keys.digest(text, self._pepper)

    async def _remembered(self, digest: bytes) -> Caller | None:
        generation = self._generation
        caller = await self._lookups.submit(digest)
        # What was read before a change must not be remembered after it.
        if generation == self._generation:
            self._known[digest] = caller
            if len(self._known) > KEYS_REMEMBERED_MAX:
                self._known.popitem(last=False)
        return caller

    async def _look_up(self, digests: Sequence[bytes]) -> Sequence[Caller | None]:
        rows = await self._connection.fetch(_LOOK_UP, [list(digests)])
        callers = {bytes(digest): _caller(*row) for digest, *row in rows}
        if _ANONYMOUS in digests:
            rows = await self._connection.fetch(_LOOK_UP_FIRST, [self._anonymous_tenant])
            callers.update((_ANONYMOUS, _caller(*row)) for _, *row in rows)
        return [callers.get(digest) for digest in digests]


def _presented_key(headers: Mapping[str, str]) -> str:
    """The key's text; empty if there is none."""
    authorization = headers.get("authorization", "")
    presented = ""
    if authorization[: len(_BEARER)].lower() == _BEARER:
        presented = authorization[len(_BEARER) :].strip()
    # Azure's and Anthropic's clients send theirs this way.
    presented = presented or headers.get("api-key") or headers.get("x-api-key") or ""
    return presented.strip()


def _no_key() -> Unauthenticated:
    missing = Unauthenticated(_NO_KEY)
    # OpenAI gives a missing key no code, only a wrong one.
    missing.code = None
    return missing


def _unknown(text: str) -> Unauthenticated:
    return Unauthenticated(f"Incorrect API key provided: {keys.masked(text)}.")


def _wrong_address(address: str) -> Forbidden:
    return Forbidden(
        f"This API key may not be used from {address or 'an unknown address'}.",
        code="ip_not_authorized",
    )


def _lacks(scope: str) -> Forbidden:
    return Forbidden(
        f"You have insufficient permissions for this operation. Missing scopes: {scope}."
    )


def _caller(*row: object) -> Caller:
    *plain, models_allow, scopes, ip_allow = row
    names = (
        "tenant_id", "tenant_slug", "tenant_status", "project_id", "api_key_id", "default_model",
        "max_output_tokens", "routing_policy", "hedge_seconds", "drains", "expires_at",
        "revoked_at", "cache_seconds",
    )  # fmt: skip
    return Caller(
        **dict(zip(names, plain, strict=True)),  # type: ignore[arg-type]  # a row's columns
        models_allow=tuple(models_allow),  # type: ignore[arg-type]
        scopes=tuple(scopes),  # type: ignore[arg-type]
        networks=allow_lists.networks(ip_allow) if ip_allow else None,  # type: ignore[arg-type]
    )


_CALLERS = """
    SELECT k.digest, t.id, t.slug, t.status, k.project_id, k.id, t.default_model,
           t.max_output_tokens, t.routing_policy, t.hedge_seconds,
           t.disconnect_policy = 'drain', k.expires_at, k.revoked_at,
           k.cache_seconds, k.models_allow, k.scopes, k.ip_allow
    FROM tenants_apikey k JOIN tenants_tenant t ON t.id = k.tenant_id
"""
_LOOK_UP = _CALLERS + "WHERE k.digest = ANY(%s)"
_LOOK_UP_FIRST = (
    _CALLERS
    + """
    WHERE t.slug = %s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
    ORDER BY k.id LIMIT 1
"""
)
_FOREIGN = "SELECT digest FROM tenants_apikey WHERE prefix LIKE %s"
