"""Starts a mock provider for a test and reads its bill.

with MockProvider() as provider:
    client = OpenAI(base_url=provider.url, api_key="any")
    ...
    assert provider.bill()[0]["finished"]
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS_MAX = 15.0
STOP_SECONDS_MAX = 5.0
READ_SECONDS_MAX = 5.0
POLL_SECONDS = 0.01
# The provider is on this machine; a proxy in the environment must not come between.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class MockProvider:
    """A mock provider in a process of its own, on a free port."""

    def __init__(
        self,
        *,
        bill: Path | None = None,
        api_key: str | None = None,
        prices: dict[str, dict[str, int]] | None = None,
        scenario: str = "",
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self._own = Path(tempfile.mkdtemp(prefix="runestone-mock-"))
        self.bill_path = bill or self._own / "bill.jsonl"
        self._port = port
        self._arguments = [f"--bill={self.bill_path}", f"--scenario={scenario}", f"--seed={seed}"]
        if api_key is not None:
            self._arguments.append(f"--api-key={api_key}")
        if prices is not None:
            (self._own / "prices.json").write_text(json.dumps(prices))
            self._arguments.append(f"--prices={self._own / 'prices.json'}")
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    # Its life.

    def start(self) -> Self:
        """Start it and wait until it listens. After a kill or a stop it comes back to its port."""
        command = [sys.executable, "-m", "runestone.local.mock_provider", *self._arguments]
        command.append(f"--port={self._port}")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        self.url = self._ready_line().split()[4].rstrip(",")
        self._port = urlsplit(self.url).port or self._port
        return self

    def _ready_line(self) -> str:
        stdout = self._out()
        ready, _, _ = select.select([stdout], [], [], START_SECONDS_MAX)
        line = stdout.readline() if ready else ""
        if not line.startswith("mock provider listening on "):
            self.close()
            raise RuntimeError(f"the mock provider did not start, and said {line!r}")
        return line

    def stop(self) -> int:
        """Ask it to leave (SIGTERM) and give back its exit status."""
        process = self._process()
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        finally:
            self.kill()
        return process.returncode

    def kill(self) -> None:
        """Kill it as the kernel would (SIGKILL). The bill stays readable."""
        process = self._process()
        process.kill()
        process.wait()
        self._out().close()

    def close(self) -> None:
        """Leave nothing behind: no process, and no bill unless it was the caller's file."""
        self.kill()
        shutil.rmtree(self._own, ignore_errors=True)

    def _process(self) -> subprocess.Popen[str]:
        if self.process is None:
            raise RuntimeError("the mock provider was not started")
        return self.process

    def _out(self) -> IO[str]:
        stdout = self._process().stdout
        if stdout is None:
            raise RuntimeError("the mock provider has no pipe to speak through")
        return stdout

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process().poll() is None:
            self.stop()
        self.close()

    # What it knows.

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process().pid

    @property
    def root(self) -> str:
        """The URL of /bill and /calls, without the /v1."""
        return self.url.removesuffix("/v1")

    def bill(self, attempt: str | None = None) -> list[dict[str, Any]]:
        """The bill's lines, read from the file: this works on a dead provider too."""
        whole = self.bill_path.read_bytes().rpartition(b"\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        return [x for x in lines if attempt is None or x["attempt"] == attempt]

    def amount_pico(self) -> int:
        """What the provider wants to be paid."""
        return sum(line["amount_pico"] for line in self.bill())

    def calls(self) -> dict[str, Any]:
        """The counters of GET /calls."""
        with _direct.open(self.root + "/calls", timeout=READ_SECONDS_MAX) as reply:
            counters: dict[str, Any] = json.load(reply)
        return counters

    def wait(
        self, until: Callable[[dict[str, Any]], bool], seconds_max: float = 5.0
    ) -> dict[str, Any]:
        """Poll the counters until they satisfy the test, or fail with what they were."""
        deadline = time.monotonic() + seconds_max
        while not until(counters := self.calls()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the mock provider's calls are {counters}")
            time.sleep(POLL_SECONDS)
        return counters
