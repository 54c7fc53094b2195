"""gzip both ways: bodies that come packed, and answers that may go packed.

Streams never go packed: a compressor would hold events back.
"""

import asyncio
import zlib
from functools import lru_cache

from runestone.lib.errors import BadRequest, UnsupportedMediaType

# Below this an answer fits into one packet anyway.
ANSWER_BYTES_MIN = 1_024
# More than this would keep the event loop for over half a millisecond, and goes to a thread.
LOOP_BYTES_MAX = 64 * 1024
# The fastest: higher ones save a tenth of the bytes for twice the time.
_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
_ACCEPTED = "gzip, deflate"


class Unpacker:
    """Unpacks a body as it comes, never further than one byte past its bound."""

    def __init__(self, encoding: str) -> None:
        """Raises UnsupportedMediaType."""
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise UnsupportedMediaType(
                f"The request's body is encoded as '{encoding[:50]}'. "
                f"Supported are {_ACCEPTED}, and no encoding.",
                headers={"accept-encoding": _ACCEPTED},
            )
        self._is_gzip = encoding != "deflate"
        self._stream: zlib._Decompress | None = None

    def feed(self, data: bytes, bytes_max: int) -> bytes:
        """What `data` unpacks to, cut off at `bytes_max` + 1. Raises BadRequest."""
        if not data:
            return b""
        if self._stream is None:
            self._stream = zlib.decompressobj(_GZIP if self._is_gzip else _window(data))
        try:
            unpacked = self._stream.decompress(data, bytes_max + 1)
        except zlib.error:
            raise _corrupt() from None
        # One gzip member is one body; a row of many small ones would cost more than it weighs.
        if self._stream.unused_data:
            raise _corrupt()
        return unpacked

    def finish(self) -> None:
        """Raises BadRequest if the end is missing."""
        if self._stream is not None and not self._stream.eof:
            raise _corrupt()


def _window(data: bytes) -> int:
    """deflate is zlib's format by the standard, and by some clients the bare stream within it."""
    return zlib.MAX_WBITS if data[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


def _corrupt() -> BadRequest:
    return BadRequest("The request's body is not what its Content-Encoding says, or is cut off.")


async def packed(body: bytes) -> bytes:
    if len(body) <= LOOP_BYTES_MAX:
        return zlib.compress(body, _LEVEL, _GZIP)
    return await asyncio.to_thread(zlib.compress, body, _LEVEL, _GZIP)


@lru_cache(256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header asks for gzip, or for anything."""
    found = False
    for entry in accept_encoding.lower().split(","):
        coding, _, weight = entry.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            if _is_zero(weight):
                return False
            found = True
    return found


def _is_zero(weight: str) -> bool:
    """Whether `q=0`: not at all."""
    name, _, value = weight.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0") in ("", ".", "0.")
