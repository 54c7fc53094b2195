"""Homes for stacks: below /tmp, where an account lent by root can enter (tmp_path is 0700)."""

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from runestone.local.paths import Home
from runestone.local.throwaway import claim_directory, wait_ready

WAIT_SECONDS_MAX = 20.0
# Seconds each. `-m "not slow"` leaves them out.
SLOW = {
    "test_up.py::test_it_works",
    "test_supervisor.py::test_children_go_when_the_supervisor_is_killed",
    "test_supervisor.py::test_it_comes_back_after_everything_was_killed",
}


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes seconds, mostly waiting for processes")


def pytest_collection_modifyitems(items):
    for item in items:
        if f"{item.path.name}::{item.name}" in SLOW:
            item.add_marker("slow")


@pytest.fixture
def home():
    """A home whose path has a space in it; swept by later runs if this one is killed."""
    directory, lock = claim_directory()
    yield Home(data=directory / "da ta", sockets=directory / "s")
    shutil.rmtree(directory, ignore_errors=True)
    lock.release()


@pytest.fixture
def running():
    """Starts a server, waits until it answers, and stops it after the test."""
    with ExitStack() as stack:

        def start(server):
            stack.callback(server.stop)
            server.start()
            wait_ready(server)
            server.prepare()
            return server

        yield start


def wait_until(condition, seconds_max=WAIT_SECONDS_MAX):
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def abandon(server):
    """Let go of a server as a supervisor does that is killed: without a goodbye."""
    os.close(server._lock.descriptor)
    server._lock._descriptor = None


def processes_below(directory: Path) -> dict[int, str]:
    """The command lines of all living processes that name this directory. Linux only."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(directory) in command:
            found[int(entry.name)] = command
    return found
