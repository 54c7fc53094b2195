"""Whether a call wants the cache, and for how long: its header says so, or else its key.

x-runestone-cache: 60              an answer that is at most 60 s old will do, and is kept for 60 s
x-runestone-cache: refresh, 60     a new answer is wanted, and kept for 60 s
x-runestone-cache: refresh         the same, for as long as the key says
x-runestone-cache: no-store        whatever the key says: not this call
"""

from typing import NamedTuple

from runestone.lib.errors import BadRequest
from tenants.models import CACHE_SECONDS_MAX

HEADER = "x-runestone-cache"

_NO_STORE, _REFRESH = "no-store", "refresh"


class Terms(NamedTuple):
    # How old an answer may be, and for how long a new one is kept.
    seconds: int
    # Whether an answer that is there already will do.
    reads: bool


def terms_of(header: str | None, key_seconds: int | None) -> Terms | None:
    """None if the call is not for the cache. Raises BadRequest for a header of another form."""
    if header is None:
        return None if key_seconds is None else Terms(key_seconds, reads=True)
    words = [word.strip().lower() for word in header.split(",")]
    if words == [_NO_STORE]:
        return None
    reads = _REFRESH not in words
    if not reads:
        words.remove(_REFRESH)
    if not words and key_seconds is None:
        raise _invalid(f"this API key does not say for how long, so send '{_REFRESH}, 60'")
    seconds = key_seconds if not words else _seconds(words)
    if seconds is None:
        raise _invalid(
            f"expected a number of seconds from 1 to {CACHE_SECONDS_MAX}, "
            f"'{_REFRESH}', both with a comma, or '{_NO_STORE}'"
        )
    return Terms(seconds, reads)


def _seconds(words: list[str]) -> int | None:
    word = words[0]
    # Not every digit of Unicode is one of ours, and no number in bounds is longer.
    if len(words) > 1 or not (word.isascii() and word.isdigit()) or len(word) > _DIGITS_MAX:
        return None
    return int(word) if 1 <= int(word) <= CACHE_SECONDS_MAX else None


_DIGITS_MAX = len(str(CACHE_SECONDS_MAX))


def _invalid(reason: str) -> BadRequest:
    return BadRequest(f"Invalid header '{HEADER}': {reason}.", param=HEADER, code="invalid_value")
