"""What is kept of an answer, sealed to its tenant and its place, and how it comes back."""

import logging
import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from api.cache.likeness import digest
from api.cache.shelf import Shelf
from api.cache.terms import HEADER, Terms, terms_of
from api.question import Question
from providers.routing import Option
from runestone.lib.encryption import CannotOpen, Vault
from runestone.lib.usage import Usage

# Longer ones are not kept: some 4,000 tokens in a stream, and many times more in one piece.
ANSWER_BYTES_MAX = 1024 * 1024

_PREFIX = "runestone:answers:"

log = logging.getLogger(__name__)


class Kept(Struct, frozen=True, array_like=True):
    """A complete answer, without our own fields."""

    # Seconds since 1970.
    stored: float
    # Who gave it.
    upstream: str
    model: str
    # What was charged for it: as the provider reported it, or else as we counted it.
    usage: Usage
    # JSON in one piece, or whole events, piece by piece as they came.
    pieces: Sequence[bytes]


_kept = msgspec.msgpack.Decoder(Kept)


class AnswerCache:
    """Belongs to one event loop. `redis` must give bytes, and is closed with the cache."""

    def __init__(self, redis: Redis, vault: Vault, secret: str, *, look_seconds_max: float) -> None:
        """`secret` is the key under which calls are named."""
        self._shelf = Shelf(redis, look_seconds_max)
        self._vault = vault
        self._secret = secret.encode()

    def slot(self, question: Question) -> "Slot | None":
        """Where the answer to this very call is kept; None if it is not for the cache.

        Raises BadRequest if its header cannot be understood.
        """
        header, key_seconds = question.call.headers.get(HEADER), question.caller.cache_seconds
        if header is None and key_seconds is None:
            return None
        terms = terms_of(header, key_seconds)
        if terms is None or question.asked.request.leaves_traces:
            return None
        name = digest(question, self._secret)
        return None if name is None else Slot(self, question, name, terms)

    async def close(self) -> None:
        await self._shelf.close()

    async def look(self, tenant_id: int, name: str) -> Kept | None:
        place = _place(tenant_id, name)
        sealed = await self._shelf.look(place)
        if sealed is None:
            return None
        try:
            return _kept.decode(self._vault.open_bytes(sealed, context=place))
        except (CannotOpen, msgspec.DecodeError) as error:
            # Of another version of Runestone, or under a key that is gone.
            log.info("a kept answer cannot be read: %s", error)
            return None

    def put(self, tenant_id: int, name: str, kept: Kept, seconds: int) -> None:
        plain = msgspec.msgpack.encode(kept)
        if len(plain) <= ANSWER_BYTES_MAX:
            place = _place(tenant_id, name)
            self._shelf.put(place, self._vault.seal_bytes(plain, context=place), seconds)


class Slot:
    """The place of one call's answer. Tells the caller whether there was one."""

    def __init__(self, cache: AnswerCache, question: Question, name: str, terms: Terms) -> None:
        self._cache = cache
        self._tenant_id = question.caller.tenant_id
        self._told = question.call.told
        self._name = name
        self._terms = terms

    async def look(self) -> Kept | None:
        """The answer, if there is one that will do."""
        kept = await self._cache.look(self._tenant_id, self._name) if self._terms.reads else None
        # Another key may keep answers for longer than this call wants them.
        if kept is not None and time.time() - kept.stored > self._terms.seconds:
            kept = None
        self._told[HEADER] = "miss" if kept is None else "hit"
        return kept

    def keep(self, option: Option, pieces: Sequence[bytes], usage: Usage) -> None:
        """A complete answer, which `option` gave."""
        upstream, model = option.target.upstream, option.model.name
        kept = Kept(time.time(), upstream, model, usage, pieces)
        self._cache.put(self._tenant_id, self._name, kept, self._terms.seconds)

    def recording(self) -> "Recording":
        return Recording(self)


class Recording:
    """A stream on its way to the caller, to be kept once it is complete."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._pieces: list[bytes] = []
        self._bytes = 0

    def add(self, piece: bytes) -> None:
        self._bytes += len(piece)
        if self._bytes > ANSWER_BYTES_MAX:
            self._pieces.clear()
        elif piece:
            self._pieces.append(piece)

    def keep(self, option: Option, usage: Usage) -> None:
        if self._pieces:
            self._slot.keep(option, self._pieces, usage)


def _place(tenant_id: int, name: str) -> str:
    """The entry's key in Redis, and the context that it is sealed for.

    An entry that was copied to another tenant, or to another call, does not open there.
    """
    return f"{_PREFIX}{tenant_id}:{name}"
