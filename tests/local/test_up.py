"""The real thing, once: `manage.py up` from nothing to a clean stop."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runestone.local import secrets

from .conftest import WAIT_SECONDS_MAX, processes_below, wait_until
from .fake_stack import free_port

REPO = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 90.0
# What the plugin set for this test run must not reach a stack of its own.
NOT_INHERITED = {"DATABASE_URL", "REDIS_URL", *secrets.fresh()}


class Up:
    def __init__(self, home):
        self.home = home
        self.ports = {"PORT": str(free_port()), "RUNESTONE_MOCK_PORT": str(free_port())}
        self.runs = 0

    def start(self):
        self.runs += 1
        self.transcript = self.home.data.parent / f"transcript-{self.runs}"
        inherited = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
        with self.transcript.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=REPO,
                env=inherited | self.ports | {"RUNESTONE_DATA_DIR": str(self.home.data)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    @property
    def said(self):
        return self.transcript.read_text()

    def wait_ready(self):
        wait_until(
            lambda: "is ready at" in self.said or self.process.poll() is not None,
            START_SECONDS_MAX,
        )
        assert self.process.poll() is None, self.said
        return self

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(WAIT_SECONDS_MAX)
        assert processes_below(self.home.data) == {}
        return code


@pytest.fixture
def up(home):
    # Celery's command line does not name the data directory; the supervisor's end tells instead.
    up = Up(home)
    yield up.start()
    up.process.terminate()
    up.process.wait(WAIT_SECONDS_MAX)


def test_it_works(up):
    up.wait_ready()
    welcome = up.said[up.said.index("Runestone is ready") :]
    curl_json, curl_stream, python = re.split(r"^-- .*$", welcome, flags=re.MULTILINE)[1:4]

    if shutil.which("curl"):
        assert '"chat.completion"' in _answer("bash", "-c", curl_json)
        assert "data: [DONE]" in _answer("bash", "-c", curl_stream)
    assert len(_answer(sys.executable, "-c", python).splitlines()) >= 2

    second = Up(up.home)
    assert second.start().process.wait(WAIT_SECONDS_MAX) == 1
    assert f"already running here, as process {up.process.pid}" in second.said

    key = re.search(r"API key +(\S+)", welcome)[1]
    logs = up.home.logs.glob("*.log*")
    assert not any(key in log.read_text(errors="replace") for log in logs)
    assert up.stop() == 0

    up.start().wait_ready()
    assert key not in up.said
    assert "/admin/tenants/apikey/add/" in up.said
    assert up.stop() == 0


def _answer(*command):
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert answer.returncode == 0, answer
    return answer.stdout
