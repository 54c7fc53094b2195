"""Which key an attempt goes with: in turn, rested, and never another tenant's."""

from collections import Counter

import pytest

from providers.keyring import (
    COOL_SECONDS_DEFAULT,
    COOL_SECONDS_MAX,
    REJECTED_SECONDS,
    Keyring,
    UpstreamKey,
)
from tests.providers.calls import target

ACME, GLOBEX = 1, 2

SHARED = UpstreamKey(10, None, "sk-shared")
SECOND = UpstreamKey(11, None, "sk-second")
ACMES = UpstreamKey(12, ACME, "sk-acme")
GLOBEXES = UpstreamKey(13, GLOBEX, "sk-globex")
ALL = (SHARED, SECOND, ACMES, GLOBEXES)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keyring(clock):
    return Keyring(clock)


def test_it_works(keyring):
    assert keyring.pick(ALL, ACME) == ACMES
    assert keyring.pick((SHARED,), ACME) == SHARED
    assert keyring.seconds_until_ready(ALL, ACME) == 0


def test_a_tenant_never_goes_with_anothers(keyring):
    assert keyring.pick((ACMES,), GLOBEX) is None
    assert keyring.seconds_until_ready((ACMES,), GLOBEX) is None
    assert {keyring.pick((ACMES, SHARED), GLOBEX) for _ in range(10)} == {SHARED}


def test_without_keys_there_is_nothing_to_pick(keyring):
    assert keyring.pick((), ACME) is None
    assert keyring.seconds_until_ready((), ACME) is None


def test_keys_take_turns(keyring):
    third = UpstreamKey(14, None, "sk-third")
    picked = Counter(keyring.pick((SHARED, SECOND, third), ACME).id for _ in range(300))
    assert picked == {SHARED.id: 100, SECOND.id: 100, third.id: 100}


def test_alternating_between_upstreams_does_not_skew_the_turns(keyring):
    elsewhere = (UpstreamKey(20, None, "sk-x"), UpstreamKey(21, None, "sk-y"))
    picked = Counter()
    for _ in range(100):
        picked[keyring.pick((SHARED, SECOND), ACME).id] += 1
        picked[keyring.pick(elsewhere, ACME).id] += 1
    assert set(picked.values()) == {50}


def test_a_cooling_key_is_left_out_until_it_is_ready(keyring, clock):
    keys = (SHARED, SECOND)
    keyring.cool(SHARED, 5)
    assert {keyring.pick(keys, ACME) for _ in range(10)} == {SECOND}
    assert keyring.seconds_until_ready(keys, ACME) == 0
    clock.now += 5
    assert {keyring.pick(keys, ACME) for _ in range(10)} == {SHARED, SECOND}


def test_when_all_are_cooling_the_first_to_be_ready_says_how_long(keyring, clock):
    keyring.cool(SHARED, 8)
    keyring.cool(SECOND, 3)
    assert keyring.pick((SHARED, SECOND), ACME) is None
    assert keyring.seconds_until_ready((SHARED, SECOND), ACME) == 3
    clock.now += 3
    assert keyring.pick((SHARED, SECOND), ACME) == SECOND


def test_an_own_key_that_cools_does_not_fall_back_to_the_operators(keyring):
    keyring.cool(ACMES, 5)
    assert keyring.pick(ALL, ACME) is None
    assert keyring.seconds_until_ready(ALL, ACME) == 5
    assert keyring.pick(ALL, GLOBEX) == GLOBEXES


@pytest.mark.parametrize(
    ("told", "rests"), [(None, COOL_SECONDS_DEFAULT), (2.5, 2.5), (86_400, COOL_SECONDS_MAX)]
)
def test_how_long_it_cools(keyring, told, rests):
    keyring.cool(SHARED, told)
    assert keyring.seconds_until_ready((SHARED,), ACME) == rests


def test_a_shorter_rest_does_not_cut_a_longer_one(keyring):
    keyring.reject(SHARED)
    keyring.cool(SHARED, 1)
    assert keyring.seconds_until_ready((SHARED,), ACME) == REJECTED_SECONDS


def test_a_rejected_key_is_told_and_tried_again_later(keyring, clock):
    keyring.reject(SECOND)
    keyring.reject(SHARED)
    keyring.cool(ACMES, 5)
    assert keyring.rejected() == [SHARED, SECOND]
    assert keyring.pick((SHARED, SECOND), ACME) is None
    clock.now += REJECTED_SECONDS
    assert keyring.rejected() == []
    assert keyring.pick((SHARED,), ACME) == SHARED


def test_a_replaced_key_starts_afresh(keyring):
    keyring.reject(SHARED)
    replaced = UpstreamKey(SHARED.id, None, "sk-new")
    assert keyring.pick((replaced,), ACME) == replaced


def test_what_has_rested_is_forgotten(keyring, clock):
    keyring.cool(SHARED, 5)
    clock.now += 5
    keyring.cool(SECOND, 5)
    assert list(keyring._ready_at) == [SECOND]


def test_a_key_does_not_show_its_secret():
    assert "sk-shared" not in repr(target(keys=(SHARED,)))


@pytest.mark.parametrize(
    ("keys", "acme", "globex"),
    [
        ((), True, True),
        ((SHARED,), True, True),
        ((ACMES,), True, False),
        ((ACMES, GLOBEXES), True, True),
        ((ACMES, SHARED), True, True),
    ],
    ids=["none-needed", "shared", "acmes", "one-each", "acmes-and-shared"],
)
def test_whom_a_target_serves(keys, acme, globex):
    way = target(keys=keys)
    assert (way.serves(ACME), way.serves(GLOBEX)) == (acme, globex)
