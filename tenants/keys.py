"""API keys: how they look, how they are made, and what of them is kept.

    sk-rs-<prefix: 12><secret: 43><checksum: 6>          base62, 67 characters

The prefix is public and names the key in lists and logs. The secret carries 256 random bits. The
checksum lets secret scanners and us tell a mistyped key from an unknown one without a database.
Only HMAC-SHA256(pepper, key) is stored: a slow hash would add nothing to 256 random bits but a
way to exhaust the gateway, and the pepper, kept outside the database, makes a stolen table useless.

Foreign keys, made elsewhere and brought along (RUNESTONE_API_KEYS), may have any form. They have no
public part, so the digest names them: `ext-` and its beginning. No prefix of ours has a hyphen.
"""

import hashlib
import hmac
import secrets
import zlib
from typing import NamedTuple

SCHEME = "sk-rs-"
PREFIX_LENGTH = 12
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
KEY_LENGTH = len(SCHEME) + PREFIX_LENGTH + _SECRET_LENGTH + _CHECKSUM_LENGTH

FOREIGN_PREFIX = "ext-"
# Foreign keys shorter than this could be guessed; longer ones are no keys.
FOREIGN_LENGTH_MIN, FOREIGN_LENGTH_MAX = 32, 512

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class MintedKey(NamedTuple):
    """A new key. `text` is shown to a person once and never stored."""

    text: str
    prefix: str
    digest: bytes


def mint(pepper: str) -> MintedKey:
    payload = "".join(secrets.choice(_BASE62) for _ in range(PREFIX_LENGTH + _SECRET_LENGTH))
    text = SCHEME + payload + _checksum(payload)
    return MintedKey(text, payload[:PREFIX_LENGTH], digest(text, pepper))


def brought(text: str, pepper: str) -> MintedKey:
    """A key that was made elsewhere, as it is stored."""
    stored = digest(text, pepper)
    if is_well_formed(text):
        return MintedKey(text, text[len(SCHEME) : len(SCHEME) + PREFIX_LENGTH], stored)
    return MintedKey(text, (FOREIGN_PREFIX + stored.hex())[:PREFIX_LENGTH], stored)


def is_foreign(prefix: str) -> bool:
    return prefix.startswith(FOREIGN_PREFIX)


def digest(text: str, pepper: str) -> bytes:
    """What is stored and looked up: 32 bytes."""
    return hmac.digest(pepper.encode(), text.encode(), hashlib.sha256)


def is_well_formed(text: str) -> bool:
    """Whether `text` can be one of our keys at all: its form and checksum are right."""
    if len(text) != KEY_LENGTH or not text.startswith(SCHEME) or not text.isascii():
        return False
    payload = text[len(SCHEME) : -_CHECKSUM_LENGTH]
    return hmac.compare_digest(text[-_CHECKSUM_LENGTH:], _checksum(payload))


def masked(text: str) -> str:
    """`text` as it may appear in an error message: enough to recognise, too little to use."""
    return f"{text[:8]}****{text[-4:]}" if len(text) > 16 else "****"


def _checksum(payload: str) -> str:
    number = zlib.crc32(payload.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, rest = divmod(number, len(_BASE62))
        digits = _BASE62[rest] + digits
    return digits
