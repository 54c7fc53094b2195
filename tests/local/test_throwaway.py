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
    wait_until(lambda: not processes_below(left))
    sweep()
    assert not left.exists()


def test_a_living_run_is_not_swept():
    directory, lock = claim_directory()
    sweep()
    assert directory.exists()
    lock.release()
    sweep()
    assert not directory.exists()


def test_a_symlink_is_not_followed(tmp_path):
    link = SOCKETS_ROOT / f"runestone-test-0-{uuid.uuid4().hex}"
    link.symlink_to(tmp_path)
    try:
        sweep()
        assert tmp_path.exists()
    finally:
        link.unlink()
