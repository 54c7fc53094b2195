"""Generations of openai-python, each in a virtual environment of its own, in one suite."""

import subprocess
from pathlib import Path

import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account
from tests.sdk.conftest import Install, assert_settled, make_venv
from tests.sdk.test_openai_python import REQUIREMENTS

HERE = Path(__file__).parent / "generations"
SECONDS_MAX = 60
# Version 2 speaks through httpx, version 3 through httpx2. The venv of 3 is that of its own tests.
GENERATIONS = {
    "openai-python-2": ("openai==2.54.0", "pytest>=9,<10", "pytest-asyncio>=1.4,<2"),
    "openai-python": REQUIREMENTS,
}


@pytest.mark.parametrize("name", GENERATIONS)
def test_it_works(
    name: str, install: Install, stage: dict[str, str], acme: Account, mock_provider: MockProvider
):
    requirements = GENERATIONS[name]
    venv = install(
        name, " ".join(requirements), lambda place, run: make_venv(place, run, *requirements)
    )
    ran = subprocess.run(
        [
            *(str(venv / "bin" / "python"), "-m", "pytest", "-c", str(HERE / "pytest.ini")),
            *("--noconftest", "-p", "no:cacheprovider", "-q", "--tb=short", str(HERE)),
        ],
        env={name: value for name, value in stage.items() if not name.startswith("PYTEST_")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ran.returncode == 0, ran.stdout
    assert_settled(acme, mock_provider)
