"""docs/examples: each runs as it stands, against a gateway."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cast import Account
from tests.gateway_process import GatewayProcess

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
CALLS_MIN = 12
# Where tests/sdk has installed OpenAI's SDK for Node.
NODE_MODULES = ROOT / ".cache" / "sdk" / "openai-node" / "node_modules"


def run(gateway: GatewayProcess, account: Account, *command: str) -> str:
    ran = subprocess.run(
        command,
        env=os.environ | {"RUNESTONE_URL": gateway.root, "RUNESTONE_API_KEY": account.key},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout[-5_000:] + ran.stderr[-2_000:]
    return ran.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_calls(gateway: GatewayProcess, acme: Account):
    script = EXAMPLES / "calls.sh"
    told = run(gateway, acme, "sh", str(script))
    named = re.findall(r"^(?:call|ask) ([a-z-]+)", script.read_text(), re.MULTILINE)
    assert len(named) >= CALLS_MIN
    assert re.findall(r"^-- ok ([a-z-]+): \d+$", told, re.MULTILINE) == named


def test_the_calls_tell_a_failure(gateway: GatewayProcess, acme: Account):
    env = os.environ | {"RUNESTONE_URL": gateway.root, "RUNESTONE_API_KEY": "sk-rs-wrong"}
    ran = subprocess.run(["sh", EXAMPLES / "calls.sh", "models"], env=env, capture_output=True)
    assert ran.returncode == 1


def test_the_python_client(gateway: GatewayProcess, acme: Account):
    assert_says_it_all(run(gateway, acme, sys.executable, str(EXAMPLES / "client.py")))


@pytest.mark.skipif(not NODE_MODULES.exists(), reason="`make test-sdk` has not installed it yet")
def test_the_node_client(gateway: GatewayProcess, acme: Account, tmp_path: Path):
    shutil.copy(EXAMPLES / "client.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    assert_says_it_all(run(gateway, acme, "node", str(tmp_path / "client.mjs")))


def assert_says_it_all(told: str) -> None:
    assert re.search(r"^answer: \S", told, re.MULTILINE)
    assert "by: mock as order-17" in told
    assert re.search(r"^stream: \S.* \(\d+ tokens\)$", told, re.MULTILINE)
    assert "model: gpt-4o-mini" in told
    assert "error: 404 model_not_found" in told
