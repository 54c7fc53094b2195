"""Generations of the official SDKs, each in a virtual environment of its own; a suite a vendor.

The newest generation of anthropic's SDK is in our own environment: tests/api/messages runs it.
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account
from tests.sdk.conftest import Install, assert_settled, make_venv
from tests.sdk.test_openai_python import REQUIREMENTS

HERE = Path(__file__).parent / "generations"
SECONDS_MAX = 60


class Generation(NamedTuple):
    suite: str
    requirements: tuple[str, ...]


PYTEST = ("pytest>=9,<10", "pytest-asyncio>=1.4,<2")
GENERATIONS = {
    # Version 2 speaks through httpx, version 3 through httpx2, in the venv of its own tests.
    "openai-python-2": Generation("openai_suite.py", ("openai==2.54.0", *PYTEST)),
    "openai-python": Generation("openai_suite.py", REQUIREMENTS),
    # The first that counts tokens outside of its betas, the last of version 0, and version 1.
    "anthropic-0-early": Generation("anthropic_suite.py", ("anthropic==0.45.2", *PYTEST)),
    "anthropic-0": Generation("anthropic_suite.py", ("anthropic==0.125.0", *PYTEST)),
    "anthropic-1": Generation("anthropic_suite.py", ("anthropic==1.17.0", *PYTEST)),
}


@pytest.mark.parametrize("name", GENERATIONS)
def test_it_works(
    name: str, install: Install, stage: dict[str, str], acme: Account, mock_provider: MockProvider
):
    run(name, install, stage)
    assert_settled(acme, mock_provider)


@pytest.mark.parametrize("dialect", ["azure", "anthropic", "ollama"])
def test_it_works_over_every_dialect(
    dialect: str,
    install: Install,
    stage: dict[str, str],
    acme: Account,
    mock_provider: MockProvider,
):
    run("openai-python", install, stage)
    lines = assert_settled(acme, mock_provider)
    assert any(line.upstream.startswith(f"{dialect}-") for line in lines)


def run(name: str, install: Install, stage: dict[str, str]) -> None:
    suite, requirements = GENERATIONS[name]
    venv = install(
        name, " ".join(requirements), lambda place, run: make_venv(place, run, *requirements)
    )
    ran = subprocess.run(
        [
            *(str(venv / "bin" / "python"), "-m", "pytest", "-c", str(HERE / "pytest.ini")),
            *("--noconftest", "-p", "no:cacheprovider", "-q", "--tb=short", str(HERE / suite)),
        ],
        env={name: value for name, value in stage.items() if not name.startswith("PYTEST_")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ran.returncode == 0, ran.stdout
