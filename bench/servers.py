"""What is measured. Each is one process, alone on its core; all speak OpenAI's wire."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from bench import machine

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 15.0
LAST_LINES = 20
# A venv with litellm[proxy]; without one, LiteLLM is left out.
LITELLM_VENV = "BENCH_LITELLM"
LITELLM_KEY = "sk-bench"
ROOT = Path(__file__).resolve().parents[1]

# Everything is on this machine; a proxy in the environment must not come between.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Server:
    """A server that is ready once it answers `probe`, a chat request, with a 200."""

    name: str
    argv: Sequence[str]
    port: int
    key: str = "unused"
    environment: Mapping[str, str] = field(default_factory=dict)
    without: Sequence[str] = ()
    cores: Sequence[int] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, probe: dict[str, Any]) -> Self:
        self._log = Path(tempfile.mkstemp(prefix=f"bench-{self.name}-", suffix=".log")[1])
        pinned = partial(os.sched_setaffinity, 0, self.cores) if self.cores else None
        inherited = {k: v for k, v in os.environ.items() if k not in self.without}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.argv,
                env=inherited | dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                preexec_fn=pinned,
            )
        try:
            self._wait_until_it_answers(probe)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.unlink(missing_ok=True)

    def _wait_until_it_answers(self, probe: dict[str, Any]) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        refusal = ""
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                ask(self.url, self.key, probe)
            except urllib.error.HTTPError as error:
                refusal = error.read().decode(errors="replace")
                time.sleep(0.2)
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
            else:
                return
        words = "\n".join(self._log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        raise RuntimeError(f"{self.name} does not answer:\n{refusal}\n{words}")


def ask(url: str, key: str, body: dict[str, Any]) -> bytes:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/chat/completions", data, headers)
    with _direct.open(request, timeout=10) as response:
        answer: bytes = response.read()
    return answer


def relay(upstream_url: str, cores: Sequence[int]) -> Server:
    port = free_port()
    return Server(
        "bare relay",
        _uvicorn("bench.relay:application", port),
        port,
        environment={"UPSTREAM_URL": upstream_url},
        cores=cores,
    )


def runestone(key: str, cores: Sequence[int]) -> Server:
    """As an operator starts it; database and secrets come by the environment."""
    port = free_port()
    return Server("Runestone", _uvicorn("runestone.asgi:application", port), port, key, cores=cores)


def litellm(
    upstream_url: str, models: Sequence[str], directory: Path, cores: Sequence[int]
) -> Server | None:
    """LiteLLM's proxy with a master key and no database: it neither knows tenants nor books."""
    program = Path(os.environ.get(LITELLM_VENV, "")) / "bin" / "litellm"
    if not os.environ.get(LITELLM_VENV) or not program.exists():
        return None
    config = {
        "model_list": [
            {
                "model_name": model,
                "litellm_params": {
                    "model": f"openai/{model}",
                    "api_base": upstream_url,
                    "api_key": "unused",
                },
            }
            for model in models
        ],
        "general_settings": {"master_key": LITELLM_KEY},
    }
    # YAML understands JSON.
    path = directory / "litellm.yaml"
    path.write_text(json.dumps(config))
    port = free_port()
    return Server(
        "LiteLLM",
        [str(program), "--config", str(path), "--host", "127.0.0.1", "--port", str(port)],
        port,
        LITELLM_KEY,
        environment={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_TELEMETRY": "False",
        },
        # Runestone's database is not LiteLLM's.
        without=("DATABASE_URL", "REDIS_URL"),
        cores=cores,
    )


def litellm_version() -> str:
    python = Path(os.environ.get(LITELLM_VENV, "")) / "bin" / "python"
    if not os.environ.get(LITELLM_VENV) or not python.exists():
        return ""
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return said.stdout.strip()


def server_and_other_cores() -> tuple[list[int], list[int]]:
    """One core for the server under test, the others for everything else."""
    if not machine.can_pin():
        return [], []
    first, *others = machine.cores()
    return [first], others


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _uvicorn(application: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1"),
        *("--port", str(port), "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--log-level", "warning", "--backlog", "4096"),
    ]
