"""What happens when the client goes: the proof that a gateway's hang-up reaches us."""

import time

import pytest

from tests.mock_provider import raw

NOTICED_SECONDS_MAX = 0.5


def hang_up_of(provider, attempt):
    """Wait for the provider to notice, and tell when it did."""
    calls = provider.wait(lambda c: any(h["attempt"] == attempt for h in c["hang_ups"]))
    return next(h["monotonic"] for h in calls["hang_ups"] if h["attempt"] == attempt)


def body(**more):
    messages = [{"role": "user", "content": "The quick brown fox"}]
    return {"model": "gpt-4o-mini", "messages": messages, **more}


def hang_up(provider, attempt, scenario, after_bytes, **more):
    """Call, read a little, go; give back when."""
    data = raw.request(body(**more), x_mock_scenario=scenario, x_runestone_attempt_id=attempt)
    with raw.connect(provider.url) as line:
        line.sendall(data)
        read = 0
        while read < after_bytes:
            read += len(line.recv(after_bytes))
        time.sleep(0.05)
    return time.monotonic()


def test_a_cut_stream_is_billed_for_what_was_made(provider, attempt, line):
    left = hang_up(provider, attempt, "chunks=1000;gap=0.01", 2_000, stream=True)

    assert hang_up_of(provider, attempt) - left < NOTICED_SECONDS_MAX
    assert 1 < line()["completion_tokens"] < 100
    assert not line()["finished"]
    made = line()["completion_tokens"]
    assert line()["amount_pico"] == 4 * 150_000 + made * 600_000


def test_a_long_gap_does_not_hide_the_hang_up(provider, attempt, line):
    left = hang_up(provider, attempt, "gap=30", 600, stream=True)
    assert hang_up_of(provider, attempt) - left < NOTICED_SECONDS_MAX
    assert line()["completion_tokens"] == 1


def test_a_stream_without_gaps_notices_too(provider, attempt, line):
    left = hang_up(provider, attempt, "chunks=200000", 2_000, stream=True)
    assert hang_up_of(provider, attempt) - left < NOTICED_SECONDS_MAX
    assert line()["completion_tokens"] < 200_000


@pytest.mark.parametrize("stream", [False, True])
def test_before_the_answer_only_the_prompt_is_billed(provider, attempt, line, stream):
    left = hang_up(provider, attempt, "delay=30", 0, stream=stream)
    assert hang_up_of(provider, attempt) - left < NOTICED_SECONDS_MAX
    assert (line()["prompt_tokens"], line()["completion_tokens"]) == (4, 0)
    assert not line()["finished"]


def test_after_the_last_token_all_is_billed(provider, attempt, line):
    hang_up(
        provider,
        attempt,
        "late_usage=30",
        1_000,
        stream=True,
        stream_options={"include_usage": True},
    )
    hang_up_of(provider, attempt)
    assert line()["completion_tokens"] == 4
    assert line()["finished"]


def test_a_deaf_provider_works_on(provider, attempt, line):
    hang_up(provider, attempt, "deaf;chunks=30;gap=0.01", 600, stream=True)
    deadline = time.monotonic() + 5
    while not provider.bill(attempt) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert line()["completion_tokens"] == 30
    assert line()["finished"]
