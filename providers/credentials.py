"""Provider credentials at rest: sealed, and bound to the address and the tenant they are meant for.

At another address a credential does not open. So nobody can send a secret to a new host by editing
an upstream's URL: it has to be entered again. Nor does a tenant's own open for anybody else.
"""

import logging

from django.conf import settings

from providers.keyring import Keys, UpstreamKey
from runestone.lib.database import Connection
from runestone.lib.encryption import CannotOpen, Vault

HINT_CHARACTERS = 4
# Of a secret so long, four known characters leave the rest as hard to guess as before.
HINTED_CHARACTERS_MIN = 24

log = logging.getLogger(__name__)


def seal(secret: str, base_url: str, tenant_id: int | None) -> bytes:
    return vault().seal(secret, context=context(base_url, tenant_id))


def open_sealed(sealed: bytes, base_url: str, tenant_id: int | None) -> str:
    """Raises CannotOpen if it was sealed for another address or tenant, or under an unknown key."""
    return vault().open(sealed, context=context(base_url, tenant_id))


def hint(secret: str) -> str:
    """The last characters, by which vendors' own pages name a key; none of a short secret."""
    return secret[-HINT_CHARACTERS:] if len(secret) >= HINTED_CHARACTERS_MIN else ""


def vault() -> Vault:
    return Vault(settings.RUNESTONE_CREDENTIAL_KEYS)


def context(base_url: str, tenant_id: int | None) -> str:
    place = f"upstream:{base_url}"
    return place if tenant_id is None else f"tenant:{tenant_id}:{place}"


async def upstream_keys(connection: Connection) -> dict[tuple[int, str], Keys]:
    """The keys of each enabled upstream, the shared ones first, by its id and address.

    An upstream that needs no key has an empty tuple; one whose keys are all disabled or cannot be
    opened is missing. The address is that for which they were opened: whoever read another a moment
    ago finds nothing here.
    """
    found: dict[tuple[int, str], list[UpstreamKey]] = {}
    barred: set[tuple[int, str]] = set()
    for upstream_id, base_url, slug, id_, tenant_id, sealed in await connection.fetch(_CREDENTIALS):
        place = upstream_id, base_url
        keys = found.setdefault(place, [])
        if id_ is None:
            continue
        barred.add(place)
        if sealed is None:
            continue
        try:
            secret = open_sealed(sealed, base_url, tenant_id)
        except CannotOpen as error:
            log.error("credential %d of upstream %s cannot be used: %s", id_, slug, error)
        else:
            keys.append(UpstreamKey(id_, tenant_id, secret))
    return {place: tuple(keys) for place, keys in found.items() if keys or place not in barred}


# What is disabled is listed without its secret.
_CREDENTIALS = """
    SELECT u.id, u.base_url, u.slug, c.id, c.tenant_id, CASE WHEN c.enabled THEN c.sealed END
    FROM providers_upstream u LEFT JOIN providers_credential c ON c.upstream_id = u.id
    WHERE u.enabled ORDER BY u.id, c.tenant_id NULLS FIRST, c.id
"""
