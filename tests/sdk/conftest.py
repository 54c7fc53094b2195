"""SDKs are installed at test time, from registries, into a directory that git does not see.

Where a registry cannot be reached the tests are skipped, and say so; in CI they fail.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "sdk"
INSTALL_SECONDS_MAX = 240

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


def make_venv(place: Path, run: Run, *requirements: str) -> None:
    run(sys.executable, "-m", "venv", str(place))
    run(str(place / "bin" / "python"), "-m", "pip", *_PIP, "install", *requirements)


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


_PIP = ("--disable-pip-version-check", "--quiet")


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
