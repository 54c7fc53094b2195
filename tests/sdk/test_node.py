"""The official SDK for Node, in suites of Node's own test runner (tests/sdk/node)."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account
from tests.sdk.conftest import Install, assert_settled

HERE = Path(__file__).parent / "node"
PACKAGE = HERE / "package.json"
SUITES = sorted(path.name for path in HERE.glob("*.test.js"))
SECONDS_MAX = 60

RunSuite = Callable[[str], None]


@pytest.fixture(scope="module")
def packages(install: Install) -> Path:
    def fill(place: Path, run: Callable[..., None]) -> None:
        shutil.copy(PACKAGE, place)
        run("node", "--version")
        run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", cwd=place)

    return install("openai-node", PACKAGE.read_text(), fill) / "node_modules"


@pytest.fixture
def run_suite(packages: Path, stage: dict[str, str], tmp_path: Path) -> RunSuite:
    # Node looks for packages beside the file that imports them, and git must not see them there.
    place = shutil.copytree(HERE, tmp_path / "node")
    (place / "node_modules").symlink_to(packages)

    def ran(suite: str) -> None:
        result = subprocess.run(
            ["node", "--test", "--test-reporter=spec", suite],
            cwd=place,
            env=stage,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
        )
        assert result.returncode == 0, result.stdout

    return ran


@pytest.mark.parametrize("suite", SUITES)
def test_it_works(suite: str, run_suite: RunSuite, acme: Account, mock_provider: MockProvider):
    run_suite(suite)
    lines = assert_settled(acme, mock_provider)
    if suite == "abort.test.js":
        assert [(line.status, line.error) for line in lines] == [(499, "client_closed_request")] * 2
        assert all(0 < line.output_tokens < 100 for line in lines)
