"""The secrets of an embedded stack: made on its first run, and kept beside its data."""

import base64
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from runestone.local.errors import UnsafePathError
from runestone.local.paths import home

FILE_NAME = "secrets.env"
TOKEN_BYTES = 48
CREDENTIAL_KEY_BYTES = 32


def read(directory: Path | None = None) -> dict[str, str]:
    """The secrets of earlier runs, or nothing."""
    try:
        text = _path(directory).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def ensure(directory: Path | None = None) -> dict[str, str]:
    """The secrets of earlier runs; those which are missing are made and written."""
    path = _path(directory)
    if fresh().keys() - read(directory).keys():
        with _locked(path.parent):
            _write(path, fresh() | read(directory))
    return read(directory)


def fill(environment: MutableMapping[str, str], directory: Path | None = None) -> None:
    """Set what `environment` lacks. What the operator set by hand always wins."""
    for name, value in ensure(directory).items():
        environment.setdefault(name, value)


def fresh() -> dict[str, str]:
    key = base64.urlsafe_b64encode(secrets.token_bytes(CREDENTIAL_KEY_BYTES)).decode()
    return {
        "SECRET_KEY": secrets.token_urlsafe(TOKEN_BYTES),
        "RUNESTONE_KEY_PEPPER": secrets.token_urlsafe(TOKEN_BYTES),
        "RUNESTONE_CREDENTIAL_KEY": key,
    }


def _path(directory: Path | None) -> Path:
    return (directory or home().data) / FILE_NAME


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Two processes may be first at once, and both must end up with the same secrets."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        raise _unusable(directory, problem) from problem
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, values: dict[str, str]) -> None:
    """Whole or not at all: credentials encrypted under a key that got lost stay unreadable."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=FILE_NAME)  # mode 0600
    except OSError as problem:
        raise _unusable(path.parent, problem) from problem
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in values.items())
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def _unusable(directory: Path, problem: OSError) -> UnsafePathError:
    return UnsafePathError(
        f"Cannot keep this stack's secrets in {directory}: {problem.strerror}."
        " Set RUNESTONE_DATA_DIR to a directory of your own."
    )
