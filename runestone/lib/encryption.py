"""Secrets that must be stored are sealed: AES-256-GCM under a key that lives outside the database.

A sealed value is `key id (4 bytes) | nonce (12 bytes) | ciphertext and tag`. It is bound to a
context (additional data): opened in another context it does not open at all. Old keys stay
readable beside the current one, so that keys can be rotated.
"""

import base64
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_ID_BYTES = 4
_KEY_BYTES = 32
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """The sealed value was made under an unknown key, for another context, or was changed."""


class Vault:
    """Seals and opens values. `keys` are base64url of 32 bytes each; the first one seals."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("a vault needs at least one key")
        decoded = [base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)) for key in keys]
        if any(len(key) != _KEY_BYTES for key in decoded):
            raise ValueError(f"an encryption key is base64url of exactly {_KEY_BYTES} bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in decoded}
        # Of the key that seals; every sealed value begins with its key's id.
        self.key_id = _key_id(decoded[0])

    def seal(self, secret: str, *, context: str) -> bytes:
        return self.seal_bytes(secret.encode(), context=context)

    def open(self, sealed: bytes, *, context: str) -> str:
        """Raises CannotOpen."""
        try:
            return self.open_bytes(sealed, context=context).decode()
        except UnicodeDecodeError:
            raise CannotOpen("sealed for another purpose: it is not text") from None

    def seal_bytes(self, secret: bytes, *, context: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._ciphers[self.key_id]
        return self.key_id + nonce + cipher.encrypt(nonce, secret, context.encode())

    def open_bytes(self, sealed: bytes, *, context: str) -> bytes:
        """Raises CannotOpen."""
        sealed = bytes(sealed)
        cipher = self._ciphers.get(sealed[:KEY_ID_BYTES])
        if cipher is None:
            raise CannotOpen("sealed under a key that is not configured here")
        nonce = sealed[KEY_ID_BYTES : KEY_ID_BYTES + _NONCE_BYTES]
        ciphertext = sealed[KEY_ID_BYTES + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, context.encode())
        except (InvalidTag, ValueError):  # ValueError: cut short
            raise CannotOpen("sealed for another context, or changed since") from None


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:KEY_ID_BYTES]
