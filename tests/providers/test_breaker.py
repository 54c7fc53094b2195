"""A breaker by itself, under a clock of the test's own."""

import pytest

from providers.breaker import (
    FAILURES_MAX,
    JITTER,
    OPEN_SECONDS_MAX,
    OPEN_SECONDS_MIN,
    PROOF_SECONDS,
    STEADY_SECONDS,
    SUCCESSES_MIN,
    TRIALS_MAX,
    WINDOW_CALLS_MAX,
    WINDOW_FAILURES_MIN,
    Breaker,
    BreakerState,
)

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
# What the issue demands of an upstream that is down.
FAILURES_UNTIL_OPEN_MAX = 10


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    """One whose times are not shortened by chance."""
    return Breaker(clock, lambda: 0.0)


def fail(breaker, times=FAILURES_MAX):
    for _ in range(times):
        breaker.failed(breaker.begin())


def trip_again(breaker, clock):
    clock.now += breaker.seconds_until_trial()
    fail(breaker, 1)


def recover(breaker, clock):
    clock.now += breaker.seconds_until_trial()
    for _ in range(SUCCESSES_MIN):
        breaker.succeeded(breaker.begin())


def test_it_works(breaker, clock):
    assert breaker.state is CLOSED
    fail(breaker)
    assert breaker.state is OPEN
    assert not breaker.permits()
    assert breaker.begin() == 0
    clock.now += breaker.seconds_until_trial()
    assert breaker.state is HALF_OPEN
    recover(breaker, clock)
    assert breaker.state is CLOSED
    assert breaker.permits()


def test_an_outage_is_noticed_within_ten_failures(breaker):
    failures = 0
    while breaker.permits():
        fail(breaker, 1)
        failures += 1
    assert failures == FAILURES_MAX <= FAILURES_UNTIL_OPEN_MAX


def test_one_success_ends_a_run_of_failures(breaker):
    fail(breaker, FAILURES_MAX - 1)
    breaker.succeeded(breaker.begin())
    fail(breaker, FAILURES_MAX - 1)
    assert breaker.state is CLOSED


def alternate(breaker, calls, every=2):
    """One of `every` calls succeeds. Gives how many it took to open."""
    for number in range(calls):
        if not breaker.permits():
            return number
        verdict = breaker.failed if number % every else breaker.succeeded
        verdict(breaker.begin())
    return calls


def test_a_bad_half_opens_it_without_any_run(breaker):
    assert alternate(breaker, 1_000) == 2 * WINDOW_FAILURES_MIN
    assert breaker.state is OPEN


def test_more_than_half_opens_it_after_as_few_failures(breaker):
    """Three of four fail: never five in a row, and fewer than twenty calls."""
    assert alternate(breaker, 1_000, every=4) == WINDOW_FAILURES_MIN + 4


def test_what_left_the_window_counts_no_more(breaker):
    for _ in range(10 * WINDOW_CALLS_MAX):
        breaker.succeeded(breaker.begin())
    assert alternate(breaker, 1_000) == WINDOW_CALLS_MAX


def test_the_window_begins_anew_when_it_closes(breaker, clock):
    alternate(breaker, 2 * WINDOW_FAILURES_MIN)
    recover(breaker, clock)
    assert alternate(breaker, 1_000) == 2 * WINDOW_FAILURES_MIN


def test_only_few_calls_try_at_once(breaker, clock):
    fail(breaker)
    clock.now += breaker.seconds_until_trial()
    turns = [breaker.begin() for _ in range(TRIALS_MAX)]
    assert all(turns)
    assert not breaker.permits()
    assert breaker.begin() == 0
    breaker.abandoned(turns[0])
    assert breaker.permits()
    assert breaker.state is HALF_OPEN


def test_one_failed_trial_opens_it_again(breaker, clock):
    fail(breaker)
    clock.now += breaker.seconds_until_trial()
    breaker.succeeded(breaker.begin())
    breaker.failed(breaker.begin())
    assert breaker.state is OPEN
    # The success before it counts no more.
    clock.now += breaker.seconds_until_trial()
    for _ in range(SUCCESSES_MIN - 1):
        breaker.succeeded(breaker.begin())
    assert breaker.state is HALF_OPEN


def test_it_stays_open_for_longer_each_time(breaker, clock):
    fail(breaker)
    waits = [breaker.seconds_until_trial()]
    for _ in range(40):
        trip_again(breaker, clock)
        waits.append(breaker.seconds_until_trial())
    assert waits[:4] == [OPEN_SECONDS_MIN * 2**n for n in range(4)]
    assert waits[4:] == [OPEN_SECONDS_MAX] * 37


def test_flapping_is_not_forgiven_but_a_steady_while_is(breaker, clock):
    fail(breaker)
    recover(breaker, clock)
    clock.now += STEADY_SECONDS / 2
    fail(breaker)
    assert breaker.seconds_until_trial() == 2 * OPEN_SECONDS_MIN
    recover(breaker, clock)
    clock.now += STEADY_SECONDS
    fail(breaker)
    assert breaker.seconds_until_trial() == OPEN_SECONDS_MIN


def test_chance_only_shortens_the_wait(clock):
    breaker = Breaker(clock, lambda: 1.0)
    fail(breaker)
    assert breaker.seconds_until_trial() == pytest.approx(OPEN_SECONDS_MIN * (1 - JITTER))


@pytest.mark.parametrize("verdict", ["succeeded", "failed", "abandoned"])
def test_calls_from_before_an_outage_say_nothing_about_now(breaker, clock, verdict):
    late = [breaker.begin() for _ in range(2 * SUCCESSES_MIN)]
    fail(breaker)
    clock.now += breaker.seconds_until_trial()
    trials = [breaker.begin() for _ in range(TRIALS_MAX)]
    for turn in late:
        getattr(breaker, verdict)(turn)
    assert breaker.state is HALF_OPEN
    assert not breaker.permits(), "the trials still have their places"
    for turn in trials[:SUCCESSES_MIN]:
        breaker.succeeded(turn)
    assert breaker.state is CLOSED


def test_a_verdict_without_a_turn_is_one_of_now(breaker, clock):
    for _ in range(FAILURES_MAX):
        breaker.failed()
    assert breaker.state is OPEN
    breaker.succeeded()
    breaker.failed()
    assert breaker.seconds_until_trial() == OPEN_SECONDS_MIN
    clock.now += OPEN_SECONDS_MIN
    for _ in range(SUCCESSES_MIN):
        breaker.succeeded()
    assert breaker.state is CLOSED


def test_a_good_probe_lets_it_be_tried_at_once(breaker):
    fail(breaker)
    breaker.probe_succeeded()
    assert breaker.state is HALF_OPEN
    assert breaker.permits()


def test_a_good_probe_closes_nothing(breaker, clock):
    fail(breaker)
    for _ in range(10):
        breaker.probe_succeeded()
    assert breaker.state is HALF_OPEN
    fail(breaker, 1)
    assert breaker.seconds_until_trial() == 2 * OPEN_SECONDS_MIN


def test_failing_probes_open_it_unless_calls_succeed(breaker, clock):
    breaker.succeeded(breaker.begin())
    clock.now += PROOF_SECONDS - 1
    breaker.probes_failed()
    assert breaker.state is CLOSED
    clock.now += 1
    breaker.probes_failed()
    assert breaker.state is OPEN


def test_failing_probes_do_not_keep_it_from_being_tried(breaker, clock):
    breaker.probes_failed()
    clock.now += breaker.seconds_until_trial()
    breaker.probes_failed()
    assert breaker.state is HALF_OPEN


def test_another_process_opens_and_closes_it(breaker, clock):
    breaker.open(30.0, trips=3)
    assert (breaker.state, breaker.seconds_until_trial()) == (OPEN, 30.0)
    clock.now += 30
    fail(breaker, 1)
    assert breaker.seconds_until_trial() == OPEN_SECONDS_MIN * 2**3
    breaker.close()
    assert breaker.state is CLOSED
    turn = breaker.turn
    breaker.close()
    assert breaker.turn == turn


@pytest.mark.parametrize(("told", "taken"), [(-5.0, 0.0), (1e9, OPEN_SECONDS_MAX)])
def test_nobody_opens_it_for_longer_than_it_may(breaker, told, taken):
    breaker.open(told, trips=1)
    assert breaker.seconds_until_trial() == taken
