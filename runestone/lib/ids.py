"""Identifiers: UUIDv7, so that they sort by time and index well, with a prefix that says what."""

import os
import struct
import time
from uuid import UUID

REQUEST_PREFIX = "req_"

_last_ms = 0
_last_counter = 0
_COUNTER_MAX = 0xFFF
# Random tails in store: asking the kernel for each one costs as much as all the rest.
_TAILS = 256
_tails: list[int] = []
# A child must not go on with its parent's.
os.register_at_fork(after_in_child=_tails.clear)


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562), strictly rising within this process even if the clock steps back."""
    global _last_ms, _last_counter
    now_ms = time.time_ns() // 1_000_000
    if now_ms > _last_ms:
        _last_ms, _last_counter = now_ms, 0
    elif _last_counter < _COUNTER_MAX:
        _last_counter += 1
    else:
        _last_ms, _last_counter = _last_ms + 1, 0
    if not _tails:
        _tails.extend(tail >> 2 for tail in struct.unpack(f"{_TAILS}Q", os.urandom(8 * _TAILS)))
    tail = _tails.pop()
    return UUID(int=_last_ms << 80 | 0x7 << 76 | _last_counter << 64 | 0b10 << 62 | tail)


def request_name(request_id: UUID) -> str:
    """The public form of a request's id, as in the `x-request-id` header: `req_` + 32 hex."""
    return REQUEST_PREFIX + request_id.hex


def request_uuid(name: str) -> UUID | None:
    """The id behind `request_name`'s result or a plain UUID; None if it is neither."""
    try:
        return UUID(name.removeprefix(REQUEST_PREFIX))
    except ValueError:
        return None
