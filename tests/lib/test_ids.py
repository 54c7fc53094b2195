import time
from uuid import RFC_4122, UUID

import pytest

from runestone.lib import ids
from runestone.lib.ids import request_name, request_uuid, uuid7


@pytest.fixture
def clock(monkeypatch):
    """clock(ms): what the clock says from now on; the ids' memory is put back afterwards."""
    monkeypatch.setattr(ids, "_last_ms", 0)
    monkeypatch.setattr(ids, "_last_counter", 0)

    def set_to(milliseconds):
        monkeypatch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000)

    return set_to


def milliseconds_of(made: UUID) -> int:
    return made.int >> 80


def test_it_works():
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert made.version == 7
    assert made.variant == RFC_4122
    assert milliseconds_of(made) >= before


def test_they_sort_in_the_order_of_making():
    made = [uuid7() for _ in range(10_000)]
    assert made == sorted(made)
    assert [str(each) for each in made] == sorted(str(each) for each in made)
    assert len(set(made)) == len(made)


def test_a_new_millisecond_shows_in_the_id(clock):
    clock(1_000_000)
    first = uuid7()
    clock(1_000_001)
    second = uuid7()
    assert [milliseconds_of(first), milliseconds_of(second)] == [1_000_000, 1_000_001]


def test_they_rise_even_if_the_clock_steps_back(clock):
    clock(1_000_000)
    before = [uuid7() for _ in range(10)]
    clock(999_000)
    after = [uuid7() for _ in range(10)]
    assert before + after == sorted(before + after)


def test_they_rise_within_a_crowded_millisecond(clock):
    clock(1_000_000)
    made = [uuid7() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(each.version == 7 and each.variant == RFC_4122 for each in made)


def test_a_request_has_a_public_name():
    request_id = uuid7()
    name = request_name(request_id)
    assert name == f"req_{request_id.hex}"
    assert len(name) == 36
    assert request_uuid(name) == request_id
    assert request_uuid(str(request_id)) == request_id


@pytest.mark.parametrize("name", ["", "req_", "req_xyz", "hello", "req_" + "0" * 31])
def test_what_is_no_name_is_none(name):
    assert request_uuid(name) is None
