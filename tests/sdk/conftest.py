"""SDKs are installed at test time, from registries, into a directory that git does not see.

Where a registry cannot be reached the tests are skipped, and say so; in CI they fail.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import openai
import pytest

from billing.models import Entry
from runestone.local.mock_provider.process import MockProvider
from tests.cast import (
    SETTLE_SECONDS_MAX,
    Account,
    add_mock_model,
    add_mock_upstream,
    open_account,
    wait_until_served,
)
from tests.gateway_process import GatewayProcess

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "sdk"
INSTALL_SECONDS_MAX = 240
# Models for suites in other processes, by the way in which the mock provider serves them.
SCENARIOS = {
    "plain": "normal",
    "tools": "tools",
    "twoTools": "tools=2",
    "refusal": "refusal",
    "slow": "chunks=500;gap=0.02",
    "late": "delay=1",
    "cut": "cut=2;gap=0.05",
    "brokenInside": "midstream_error=2",
    "busy": "error=429;retry_after=7",
    "busyTwice": "error=429;retry_after=0.05;first=2",
    "downOnce": "error=503;retry_after=0.05;first=1",
    "failsOnce": "error=500;first=1",
    "unprocessable": "error=422",
}

Run = Callable[..., None]
Install = Callable[[str, str, Callable[[Path, Run], None]], Path]


class CannotInstallError(Exception):
    """What a package manager said when it failed."""


@pytest.fixture(scope="session")
def install(request: pytest.FixtureRequest) -> Install:
    """install("name", recipe, fill) gives a directory that `fill` has filled for this recipe."""

    def installed(name: str, recipe: str, fill: Callable[[Path, Run], None]) -> Path:
        try:
            return _installed(CACHE / name, recipe, fill)
        except CannotInstallError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error), pytrace=False)
            with _loud(request.config):
                sys.stderr.write(f"\n\nSKIPPED: the tests with {name}. {error}\n")
            pytest.skip(f"{name} could not be installed")

    return installed


@pytest.fixture
def dialect() -> str:
    """What the upstream of the suites' chat models speaks."""
    return "openai"


@pytest.fixture
def stage(
    gateway: GatewayProcess,
    client: openai.OpenAI,
    acme: Account,
    mock_provider: MockProvider,
    dialect: str,
) -> dict[str, str]:
    """What a suite in a process of its own is told of the world: its environment."""
    poor = open_account("Poor", budget_usd="0")
    # A scenario with `first` counts for each model that was never called before.
    run = uuid4().hex
    upstream = add_mock_upstream(f"{dialect}-{run}", dialect, mock_provider)
    models = {name: f"{name}-{run}" for name in SCENARIOS}
    for name, model in models.items():
        add_mock_model(model, f"gpt-4o-mini:{SCENARIOS[name]};key={run}", upstream=upstream)
    for model in models.values():
        wait_until_served(client, model)
    told = {"url": gateway.url, "key": acme.key, "poorKey": poor.key, "models": models}
    return {**os.environ, "RUNESTONE_SDK": json.dumps(told)}


def assert_settled(account: Account, mock_provider: MockProvider) -> list[Entry]:
    """Everything is settled, and what has a price is what the provider bills. Gives the lines."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while account.holds():
        assert time.monotonic() < deadline, f"{account.holds()} are still held"
        time.sleep(0.05)
    lines = list(Entry.objects.filter(tenant=account.tenant))
    for line in lines:
        if line.kind == "charge" and line.price_state == "priced":
            [billed] = mock_provider.bill(str(line.id))
            assert line.amount_pico == billed["amount_pico"]
    return lines


def make_venv(place: Path, run: Run, *requirements: str) -> None:
    # Our own pip installs, and what is never imported is never compiled: that is half the time.
    run(sys.executable, "-m", "venv", "--without-pip", str(place))
    run(
        *(sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), *_PIP),
        *("install", "--no-compile", *requirements),
    )


def download_source(place: Path, run: Run, requirement: str) -> None:
    """Unpacks a package's source distribution into `place`."""
    name = requirement.partition("==")[0]
    packed = place / "packed"
    run(
        *(sys.executable, "-m", "pip", *_PIP, "download", "--no-deps", "--no-binary", name),
        *("--dest", str(packed), requirement),
    )
    [archive] = packed.glob("*.tar.gz")
    shutil.unpack_archive(archive, place, filter="data")
    shutil.rmtree(packed)


_PIP = ("--disable-pip-version-check", "--quiet", "--retries=2")


def _installed(place: Path, recipe: str, fill: Callable[[Path, Run], None]) -> Path:
    """One at a time, and what was cut short or made by another recipe is made anew."""
    place.parent.mkdir(parents=True, exist_ok=True)
    done = place / f".made-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    with (place.parent / f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            fill(place, _run)
            done.touch()
    return place


def _run(*command: str, cwd: Path | None = None) -> None:
    try:
        subprocess.run(
            command,
            cwd=cwd,
            check=True,
            timeout=INSTALL_SECONDS_MAX,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except subprocess.SubprocessError as error:
        said = error.output.decode() if isinstance(error.output, bytes) else error.output or ""
        raise CannotInstallError(f"{error}\n{said}") from None
    except OSError as error:
        raise CannotInstallError(str(error)) from None


@contextmanager
def _loud(config: pytest.Config) -> Iterator[None]:
    """Output goes to the terminal, whatever pytest captures."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        yield
