"""Identifiers: UUIDv7, so that they sort by time and index well, with a prefix that says what."""

import os
import time
from uuid import UUID

REQUEST_PREFIX = "req_"

_last_ms = 0
_last_counter = 0
_COUNTER_MAX = 0xFFF


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
    random_tail = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=_last_ms << 80 | 0x7 << 76 | _last_counter << 64 | 0b10 << 62 | random_tail)


def request_name(request_id: UUID) -> str:
    """The public form of a request's id, as in the `x-request-id` header: `req_` + 32 hex."""
    return REQUEST_PREFIX + request_id.hex


def request_uuid(name: str) -> UUID | None:
    """The id behind `request_name`'s result or a plain UUID; None if it is neither."""
    try:
        return UUID(name.removeprefix(REQUEST_PREFIX))
    except ValueError:
        return None
