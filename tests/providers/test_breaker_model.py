"""Long random lives of a breaker, against a model that keeps every call instead of counting."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from providers.breaker import (
    FAILURE_SHARE_MAX,
    FAILURES_MAX,
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


class Life(RuleBasedStateMachine):
    """The model: a state by name, the calls under way with their state of birth, all verdicts."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(lambda: self.now, lambda: 0.0)
        self.is_closed = True
        # Changes of state so far; calls under way as (the change they were begun after, turn).
        self.changes = 0
        self.calls = []
        # Since the last change of state: True for a success.
        self.verdicts = []
        self.until = self.closed_at = self.succeeded_at = float("-inf")
        self.trips = 0

    # What the model says.

    def expected(self):
        if self.is_closed:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.now < self.until else BreakerState.HALF_OPEN

    def trials(self):
        return sum(1 for change, _ in self.calls if change == self.changes)

    def may_begin(self):
        match self.expected():
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return False
            case BreakerState.HALF_OPEN:
                return self.trials() < TRIALS_MAX

    def change(self, *, closed):
        self.is_closed = closed
        self.changes += 1
        self.verdicts = []

    def open(self):
        if self.is_closed and self.now - self.closed_at >= STEADY_SECONDS:
            self.trips = 0
        self.until = self.now + min(OPEN_SECONDS_MIN * 2**self.trips, OPEN_SECONDS_MAX)
        self.trips += 1
        self.change(closed=False)

    def judge(self):
        """After a verdict."""
        if self.expected() is BreakerState.HALF_OPEN:
            if not self.verdicts[-1]:
                self.open()
            elif self.verdicts.count(True) >= SUCCESSES_MIN:
                self.closed_at = self.now
                self.change(closed=True)
            return
        window = self.verdicts[-WINDOW_CALLS_MAX:]
        runs = self.verdicts[-FAILURES_MAX:] == [False] * FAILURES_MAX
        failures = window.count(False)
        is_bad = failures >= max(WINDOW_FAILURES_MIN, FAILURE_SHARE_MAX * len(window))
        if not self.verdicts[-1] and (runs or is_bad):
            self.open()

    # What happens.

    @rule(seconds=st.sampled_from([0.1, 1.0, OPEN_SECONDS_MIN, OPEN_SECONDS_MAX]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(count=st.integers(1, 2 * TRIALS_MAX))
    def calls_begin(self, count):
        for _ in range(count):
            expected = self.may_begin()
            turn = self.breaker.begin()
            assert bool(turn) == expected
            if turn:
                self.calls.append((self.changes, turn))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), ok=st.booleans())
    def a_call_ends(self, data, ok):
        self.end(self.calls[data.draw(st.integers(0, len(self.calls) - 1))], ok)

    @precondition(lambda self: self.is_closed)
    @rule(verdicts=st.lists(st.booleans(), max_size=WINDOW_CALLS_MAX))
    def many_calls_one_after_another(self, verdicts):
        for ok in verdicts:
            turn = self.breaker.begin()
            if turn:
                self.calls.append((self.changes, turn))
                self.end(self.calls[-1], ok)

    def end(self, call, ok):
        change, turn = call
        self.calls.remove(call)
        (self.breaker.succeeded if ok else self.breaker.failed)(turn)
        if change != self.changes:
            return
        if ok:
            self.succeeded_at = self.now
        self.verdicts.append(ok)
        self.judge()

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def a_caller_hangs_up(self, data):
        _, turn = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        self.breaker.abandoned(turn)

    @rule()
    def a_probe_succeeds(self):
        self.breaker.probe_succeeded()
        self.until = min(self.until, self.now)

    @rule()
    def probes_fail(self):
        self.breaker.probes_failed()
        if self.is_closed and self.now - self.succeeded_at >= PROOF_SECONDS:
            self.open()

    @rule()
    def others_close_it(self):
        self.breaker.close()
        if not self.is_closed:
            self.closed_at = self.now
            self.change(closed=True)

    @rule(seconds=st.floats(0, OPEN_SECONDS_MAX), trips=st.integers(1, 5))
    def others_open_it(self, seconds, trips):
        self.breaker.open(seconds, trips)
        self.until, self.trips = self.now + seconds, trips
        self.change(closed=False)

    # What must hold.

    @invariant()
    def it_is_in_the_state_of_the_model(self):
        assert self.breaker.state is self.expected()
        assert self.breaker.permits() == self.may_begin()
        wait = 0.0 if self.is_closed else max(self.until - self.now, 0.0)
        assert self.breaker.seconds_until_trial() == wait

    @invariant()
    def few_calls_try_at_once(self):
        if not self.is_closed:
            assert self.breaker.trials == self.trials() <= TRIALS_MAX


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
