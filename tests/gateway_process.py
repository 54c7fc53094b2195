"""A real gateway in a process of its own, as an operator starts it, on a free port."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
APPLICATION = "tests.contract.witness.asgi:application"
# The gateway is on this machine; a proxy in the environment must not come between.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


# A machine that is busy with other tests is no slow Redis.
PATIENCE = {"RUNESTONE_CACHE_LOOK_SECONDS_MAX": "5"}
# One provider stands for all that can go wrong, one thing after another; nobody learns from it.
SINGLE_ATTEMPTS = {"RUNESTONE_REPETITIONS_MAX": "0", "RUNESTONE_BREAKERS_ENABLED": "false"}


class GatewayProcess:
    """uvicorn with `runestone.asgi`, over the database that Django has at the moment.

    A witness sees what it answers (tests/contract/witness).
    """

    def __init__(self, database_url: str, server: str = "uvicorn", **environment: str) -> None:
        self._server = server
        self._environment = os.environ | SINGLE_ATTEMPTS | PATIENCE
        self._environment["DATABASE_URL"] = database_url
        self._environment |= environment
        self._log = Path(tempfile.mkstemp(prefix="runestone-gateway-", suffix=".log")[1])
        self.process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *_SERVERS[self._server](str(self.port))],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_live()
        return self

    def kill(self) -> None:
        """SIGKILL: what was in memory is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM: it settles what is open. Returns the exit status."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else 0
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._log.unlink(missing_ok=True)

    def _wait_until_live(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                _direct.open(f"{self.root}/health/live", timeout=1).read()
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"the gateway did not come up:\n{self.log}")


_SERVERS = {
    "uvicorn": lambda port: [
        *("uvicorn", APPLICATION, "--host", "127.0.0.1", "--port", port),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-proxy-headers"),
    ],
    "daphne": lambda port: [
        *("daphne", "-b", "127.0.0.1", "-p", port, "--access-log", "/dev/null"),
        APPLICATION,
    ],
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
