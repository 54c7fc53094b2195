"""Whom a call is made for: the caller's customer, by the name that the caller gives."""

from hashlib import sha256

END_USER_CHARACTERS_MAX = 128


def bounded(name: str | None) -> str | None:
    """`name` as the ledger keeps it; None if there is none.

    What is too long, or holds what a database or a page cannot show (a NUL, half a surrogate
    pair), goes by its digest: it stays one end user, and cannot spoil the batch that it is in.
    """
    if not name:
        return None
    if len(name) <= END_USER_CHARACTERS_MAX and name.isprintable():
        return name
    return f"sha256:{sha256(name.encode(errors='surrogatepass')).hexdigest()}"
