"""What is kept: sealed to its tenant and its place, bounded, and not read in any other form."""

import base64
import os
import time
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from api.cache.answers import ANSWER_BYTES_MAX, AnswerCache, Kept, Recording
from runestone.lib.encryption import Vault
from runestone.lib.redis import connect
from runestone.lib.usage import Usage

KEYS = [base64.urlsafe_b64encode(os.urandom(32)).decode() for _ in range(2)]
ACME, GLOBEX = 1, 2


@pytest.fixture
def name() -> str:
    return uuid4().hex * 2


@pytest.fixture
async def redis():
    async with connect(settings.REDIS_URL, decodes=False) as client:
        yield client


@pytest.fixture
async def cache():
    made = cache_under(KEYS[0])
    yield made
    await made.close()


def cache_under(*keys: str) -> AnswerCache:
    client = connect(settings.REDIS_URL, decodes=False)
    return AnswerCache(client, Vault(keys), "pepper", look_seconds_max=5)


def kept(*pieces: bytes) -> Kept:
    usage = Usage(input_tokens=3, cached_input_tokens=2, output_tokens=5)
    return Kept(time.time(), "mock", "gpt-4o-mini", usage, list(pieces) or [b"a secret", b"\xff"])


async def test_it_works(cache, name):
    answer = kept()
    cache.put(ACME, name, answer, 60)
    assert await cache.look(ACME, name) == answer


async def test_nobody_reads_it_in_redis(cache, redis, name):
    cache.put(ACME, name, kept(), 60)
    await cache.look(ACME, name)
    sealed = await redis.get(f"runestone:answers:{ACME}:{name}")
    assert b"secret" not in sealed
    assert b"gpt" not in sealed
    assert 0 < await redis.ttl(f"runestone:answers:{ACME}:{name}") <= 60


async def test_copied_to_a_stranger_it_does_not_open(cache, redis, name):
    cache.put(ACME, name, kept(), 60)
    await cache.look(ACME, name)
    for tenant, other in ((GLOBEX, name), (ACME, uuid4().hex * 2)):
        await redis.copy(f"runestone:answers:{ACME}:{name}", f"runestone:answers:{tenant}:{other}")
        assert await cache.look(tenant, other) is None


async def test_under_a_new_key_the_old_ones_open_until_it_is_gone(cache, name):
    cache.put(ACME, name, kept(), 60)
    assert await cache.look(ACME, name)
    for keys, opens in (((KEYS[1], KEYS[0]), True), ((KEYS[1],), False)):
        other = cache_under(*keys)
        assert (await other.look(ACME, name) is not None) is opens
        await other.close()


@pytest.mark.parametrize("plain", [b"", b"\x90", b"\xc1", b"\x95\x01\x02\x03\x04\x05"])
async def test_what_another_version_kept_is_passed_over(cache, redis, name, plain):
    place = f"runestone:answers:{ACME}:{name}"
    await redis.set(place, Vault(KEYS[:1]).seal_bytes(plain, context=place), ex=60)
    assert await cache.look(ACME, name) is None


async def test_what_is_too_long_is_not_kept(cache, name):
    cache.put(ACME, name, kept(bytes(ANSWER_BYTES_MAX)), 60)
    assert await cache.look(ACME, name) is None
    cache.put(ACME, name, kept(bytes(ANSWER_BYTES_MAX - 1_000)), 60)
    assert await cache.look(ACME, name) is not None


class Place:
    """Takes what a recording gives."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def keep(self, *given: Any) -> None:
        self.taken.append(given)


def test_a_recording_is_the_pieces_as_they_came():
    place = Place()
    recording = Recording(place)
    for piece in (b"one", b"", b"two", b"three"):
        recording.add(piece)
    recording.keep("option", "usage")
    assert place.taken == [("option", [b"one", b"two", b"three"], "usage")]


def test_a_recording_that_is_too_long_is_let_go():
    place = Place()
    recording = Recording(place)
    for _ in range(3):
        recording.add(bytes(ANSWER_BYTES_MAX // 2 + 1))
    recording.add(b"the end")
    recording.keep("option", "usage")
    assert place.taken == []
