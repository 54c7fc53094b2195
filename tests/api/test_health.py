"""Health over a real socket: what it says while there is no worker, and once there is one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_process import GatewayProcess

READY_SECONDS_MAX = 30.0


def test_it_lives(gateway: GatewayProcess):
    answer = httpx.get(f"{gateway.root}/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_it_is_ready_once_a_worker_answers(gateway: GatewayProcess, live: str, tmp_path: Path):
    before = httpx.get(f"{gateway.root}/health/ready")
    assert before.status_code == 503
    checks = before.json()["checks"]
    assert (checks["database"], checks["cache"]) == ("ok", "ok")
    assert checks["worker"] == "no worker has reported lately"

    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "runestone", "worker", "--beat"),
            *("--concurrency", "1", "--loglevel", "WARNING"),
            *("--schedule", str(tmp_path / "schedule")),
        ],
        env=os.environ | {"DATABASE_URL": live},
    )
    try:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while httpx.get(f"{gateway.root}/health/ready").status_code != 200:
            assert time.monotonic() < deadline, httpx.get(f"{gateway.root}/health").json()
            time.sleep(0.2)
        while not (mock := providers(gateway)["mock"])["up"]:
            assert time.monotonic() < deadline, mock
            time.sleep(0.2)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
    report = httpx.get(f"{gateway.root}/health").json()
    assert (report["status"], report["version"]) == ("ok", "0.1.0")


def providers(gateway: GatewayProcess) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{gateway.root}/health/providers").json()["providers"]
    return told


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/health/nothing", "/healthz"])
def test_nothing_here_answers_with_a_page(gateway: GatewayProcess, path: str):
    answer = httpx.get(gateway.root + path)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
