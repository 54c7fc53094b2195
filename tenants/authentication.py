"""Who calls: from a header to a `Caller`, without a database in the way.

Keys are looked up once and remembered until any key or tenant changes (runestone/lib/revisions.py),
so a revocation is obeyed everywhere within a second. What is unknown is remembered too, in bounds.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from runestone.lib.batching import Batcher
from runestone.lib.database import Connection
from runestone.lib.errors import Forbidden, Unauthenticated
from tenants import keys

KEYS_REMEMBERED_MAX = 100_000

_BEARER = "bearer "
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)


class Caller(Struct, frozen=True, kw_only=True):
    """The tenant, project and key on whose account a call runs."""

    tenant_id: int
    tenant_slug: str
    tenant_status: str
    project_id: int | None
    api_key_id: int
    default_model: str
    max_output_tokens: int | None
    expires_at: datetime | None
    revoked_at: datetime | None


class Authenticator:
    """Belongs to one event loop."""

    def __init__(self, info: str, pepper: str) -> None:
        self._pepper = pepper
        self._connection = Connection(info)
        self._lookups: Batcher[bytes, Caller | None] = Batcher(self._look_up)
        self._known: OrderedDict[bytes, Caller | None] = OrderedDict()
        self._generation = 0

    async def aauthenticate(self, headers: Mapping[str, str]) -> Caller:
        """The caller behind a request's headers (lower-case names). Raises Unauthenticated."""
        text = _presented_key(headers)
        if len(text) != keys.KEY_LENGTH:
            raise _unknown(text)
        digest = keys.digest(text, self._pepper)
        try:
            caller = self._known[digest]
        except KeyError:
            if not keys.is_well_formed(text):
                raise _unknown(text) from None
            caller = await self._remembered(digest)
        if caller is None or caller.revoked_at is not None:
            raise _unknown(text)
        if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
            raise Unauthenticated("This API key has expired.", code="invalid_api_key")
        if caller.tenant_status != "active":
            raise Forbidden("This account is suspended.", code="account_suspended")
        return caller

    async def reload(self, connection: Connection) -> None:
        """Forgets everything: some key or tenant has changed."""
        self._generation += 1
        self._known.clear()

    async def close(self) -> None:
        await self._connection.close()

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
        return [callers.get(digest) for digest in digests]


def _presented_key(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "")
    presented = ""
    if authorization[: len(_BEARER)].lower() == _BEARER:
        presented = authorization[len(_BEARER) :].strip()
    # Azure's and Anthropic's clients send theirs this way.
    presented = presented or headers.get("api-key") or headers.get("x-api-key") or ""
    if not presented:
        missing = Unauthenticated(_NO_KEY)
        # OpenAI gives a missing key no code, only a wrong one.
        missing.code = None
        raise missing
    return presented.strip()


def _unknown(text: str) -> Unauthenticated:
    return Unauthenticated(f"Incorrect API key provided: {keys.masked(text)}.")


def _caller(*row: object) -> Caller:
    names = (
        "tenant_id", "tenant_slug", "tenant_status", "project_id", "api_key_id", "default_model",
        "max_output_tokens", "expires_at", "revoked_at",
    )  # fmt: skip
    return Caller(**dict(zip(names, row, strict=True)))  # type: ignore[arg-type]  # a row's columns


_LOOK_UP = """
    SELECT k.digest, t.id, t.slug, t.status, k.project_id, k.id, t.default_model,
           t.max_output_tokens, k.expires_at, k.revoked_at
    FROM tenants_apikey k JOIN tenants_tenant t ON t.id = k.tenant_id
    WHERE k.digest = ANY(%s)
"""
