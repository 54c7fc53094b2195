import signal
import subprocess
import sys
import uuid

import psycopg

from runestone.local.paths import SOCKETS_ROOT
from runestone.local.throwaway import ThrowawayServers, claim_directory, sweep

from .conftest import processes_below, wait_until

START_AND_DIE = """
import os
from runestone.local.throwaway import ThrowawayServers
servers = ThrowawayServers()
servers.start()
print(servers.postgres.home.data, flush=True)
os.kill(os.getpid(), 9)
"""


def test_it_works():
    servers = ThrowawayServers()
    servers.start()
    with psycopg.connect(servers.database_url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
    servers.stop()
    assert not servers.postgres.home.data.exists()
    assert processes_below(servers.postgres.home.data) == {}


def test_what_a_killed_run_left_is_swept():
    command = [sys.executable, "-c", START_AND_DIE]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    left = SOCKETS_ROOT / killed.stdout.strip()
    assert killed.returncode == -signal.SIGKILL
    wait_until(lambda: _is_swept(left))


def test_a_living_run_is_not_swept():
    directory, lock = claim_directory()
    sweep()
    assert directory.exists()
    lock.release()
    wait_until(lambda: _is_swept(directory))


def test_a_symlink_is_not_followed(tmp_path):
    link = SOCKETS_ROOT / f"runestone-test-0-{uuid.uuid4().hex}"
    link.symlink_to(tmp_path)
    try:
        sweep()
        assert tmp_path.exists()
    finally:
        link.unlink()


def _is_swept(directory):
    # Its processes may still be ending, and another run may be sweeping it this moment.
    sweep()
    return not directory.exists()
