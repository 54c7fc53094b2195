"""The life of a stack, told by a supervisor in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from .conftest import WAIT_SECONDS_MAX, processes_below, wait_until


class Run:
    """A supervisor in another process, and what it says."""

    def __init__(self, home, case, **environment):
        self.data = home.data
        self.transcript = (home.data.parent / "transcript").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.local.fake_stack", str(home.data), case],
            stdout=self.transcript,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,
        )

    @property
    def said(self):
        self.transcript.seek(0)
        return self.transcript.read()

    def wait_for(self, words):
        wait_until(lambda: words in self.said or self.process.poll() is not None)
        assert words in self.said, self.said
        return self

    def wait(self):
        """The exit code. Whatever the reason was, nobody is left."""
        code = self.process.wait(WAIT_SECONDS_MAX)
        assert processes_below(self.data) == {}
        assert not (self.data.parent / "s").exists()
        return code

    def stop(self, number=signal.SIGINT):
        os.killpg(self.process.pid, number)  # a terminal signals the whole group
        return self.wait()


@pytest.fixture
def run(home):
    runs = []

    def start(case="all is well", **environment):
        runs.append(Run(home, case, **environment))
        return runs[-1]

    yield start
    for each in runs:
        each.process.terminate()
        each.process.wait(WAIT_SECONDS_MAX)
        each.transcript.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_works(run, number):
    stack = run().wait_for("READY")
    assert stack.stop(number) == 0
    stopped = (stack.data / "stopped").read_text().split()
    assert stopped == ["gateway", "worker", "beat", "mock"]


def test_a_second_one_is_refused(run):
    first = run().wait_for("READY")
    second = run()
    assert second.process.wait(WAIT_SECONDS_MAX) == 1
    assert f"already running here, as process {first.process.pid}" in second.said
    assert first.process.poll() is None


def test_more_ctrl_c_break_nothing(run):
    stack = run("deaf").wait_for("READY")
    for _ in range(5):
        os.killpg(stack.process.pid, signal.SIGINT)
        time.sleep(0.05)
    assert stack.stop() == 0
    assert "gateway had to be killed" in stack.said


def test_a_child_that_dies_stops_everything(run):
    stack = run("dies")
    assert stack.wait() == 1
    assert "worker ended with exit code 3" in stack.said
    assert "a last word" in stack.said


def test_a_step_that_fails_stops_everything(run):
    stack = run("step fails")
    assert stack.wait() == 1
    assert "step ended with exit code 1" in stack.said
    assert not (stack.data / "gateway").exists()


def test_what_is_not_ready_is_told(run):
    stack = run("never ready")
    assert stack.wait() == 1
    assert "the gateway is shy" in stack.said


def test_stopped_before_it_was_up_is_no_success(run):
    stack = run("servers").wait_for("postgres")
    assert stack.stop() == 128 + signal.SIGINT


def test_a_busy_port_is_told_before_anything_starts(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        stack = run(FAKE_PORT=str(number))
        assert stack.wait() == 1
    assert f"Port {number} is taken" in stack.said
    assert f"PORT={number + 10}" in stack.said
    assert not (stack.data / "logs").exists()


def test_secrets_of_the_seed_are_in_no_log(run):
    stack = run().wait_for("seeded: the secret")
    assert "words for the log" in (stack.data / "logs/seed.log").read_text()
    assert "secret" not in (stack.data / "logs/seed.log").read_text()


def test_warnings_reach_the_console(run):
    stack = run("warns").wait_for("shout")
    assert "whisper" not in stack.said


def test_children_go_when_the_supervisor_is_killed(run):
    stack = run("servers").wait_for("READY")
    stack.process.kill()
    stack.process.wait()
    wait_until(lambda: not processes_below(stack.data))
    again = run("servers").wait_for("READY")
    assert again.stop() == 0


def test_it_comes_back_after_everything_was_killed(run):
    stack = run("servers").wait_for("READY")
    for process_id in [stack.process.pid, *processes_below(stack.data)]:
        with suppress(ProcessLookupError):  # it may follow its parent before we come to it
            os.kill(process_id, signal.SIGKILL)
    stack.process.wait()
    again = run("servers").wait_for("READY")
    assert again.stop() == 0


def test_a_garbage_locale_breaks_no_output(run):
    stack = run(LC_ALL="xx_YY.nonsense", LANG="garbage", PYTHONUTF8="0").wait_for("READY")
    assert stack.stop() == 0
