"""Provider credentials at rest: sealed, and bound to the address that they are meant for.

At another address a credential does not open. So nobody can send a secret to a new host by editing
an upstream's URL: it has to be entered again.
"""

from django.conf import settings

from runestone.lib.encryption import Vault


def seal(secret: str, base_url: str) -> bytes:
    return _vault().seal(secret, context=_context(base_url))


def open_sealed(sealed: bytes, base_url: str) -> str:
    """Raises CannotOpen if it was sealed for another address or under an unknown key."""
    return _vault().open(sealed, context=_context(base_url))


def _vault() -> Vault:
    return Vault(settings.RUNESTONE_CREDENTIAL_KEYS)


def _context(base_url: str) -> str:
    return f"upstream:{base_url}"
