import os
import signal
import subprocess
import sys

import pytest

from runestone.local import lock as lock_module
from runestone.local.errors import LockedError
from runestone.local.lock import Lock

from .conftest import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_it_works(tmp_path):
    lock = Lock(tmp_path / "lock")
    assert lock.acquire() is None
    lock.name_holder(os.getpid())
    with pytest.raises(LockedError) as caught:
        Lock(tmp_path / "lock").acquire()
    assert caught.value.holder == os.getpid()


def test_a_clean_goodbye_leaves_no_trace(tmp_path):
    lock = Lock(tmp_path / "lock")
    lock.acquire()
    lock.name_holder(os.getpid())
    lock.release()
    assert Lock(tmp_path / "lock").acquire() is None


def test_a_holder_without_goodbye_is_told(tmp_path):
    """And its id, which may be anybody's by now, does not keep us out."""
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")
    assert Lock(tmp_path / "lock").acquire() == os.getpid()


def test_a_child_that_inherits_keeps_the_lock(tmp_path):
    lock = Lock(tmp_path / "lock")
    lock.acquire()
    child = subprocess.Popen(SLEEP, pass_fds=[lock.descriptor])
    lock.release()
    with pytest.raises(LockedError):
        Lock(tmp_path / "lock").acquire()
    child.kill()
    child.wait()
    Lock(tmp_path / "lock").acquire()


def test_a_zombie_holds_nothing(tmp_path):
    """Nobody reaps it, so `kill -0` still finds it: as process 1 does in many containers."""
    lock = Lock(tmp_path / "lock")
    lock.acquire()
    child = subprocess.Popen(SLEEP, pass_fds=[lock.descriptor])
    lock.release()
    child.kill()
    wait_until(lambda: _is_free(tmp_path / "lock"))
    os.kill(child.pid, 0)
    child.wait()


def test_an_orphan_is_asked_to_stop(tmp_path, monkeypatch):
    """Where the kernel does not end servers with their supervisor."""
    monkeypatch.setattr(lock_module, "PATIENCE_SECONDS", 0.1)
    lock = Lock(tmp_path / "lock")
    lock.acquire()
    orphan = subprocess.Popen(SLEEP, pass_fds=[lock.descriptor])
    os.close(lock.descriptor)
    (tmp_path / "lock").write_text(f"{orphan.pid}\n")
    Lock(tmp_path / "lock").take_over(signal.SIGTERM)
    assert orphan.wait() == -signal.SIGTERM


def _is_free(path):
    try:
        Lock(path).acquire()
    except LockedError:
        return False
    return True
