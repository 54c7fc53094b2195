"""Where an embedded stack keeps its data and its sockets, and the URLs that follow from that.

Settings import this for their defaults, so it needs no more than the standard library.
"""

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from runestone.local.errors import UnsafePathError

REPO = Path(__file__).resolve().parents[2]

# A socket's path may have 107 bytes at most, and a repository may live anywhere: so not there.
SOCKETS_ROOT = Path("/tmp")  # noqa: S108 - guarded by `claim_private_directory`
ROOTS_DATA = Path("/var/lib")

PRIVATE = 0o700
POSTGRES_USER = "postgres"
POSTGRES_PORT = 5432
DATABASE_NAME = "runestone"
VALKEY_SOCKET_NAME = "valkey.sock"


@dataclass(frozen=True)
class Home:
    """The two directories of one embedded stack."""

    data: Path
    sockets: Path

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / VALKEY_SOCKET_NAME

    def database_url(self, name: str = DATABASE_NAME) -> str:
        """A URL that libpq takes as it stands, and django-environ turns into OPTIONS.

        It names the port (of the socket's name), or else a user's PGPORT would.
        """
        socket = f"host={quote(str(self.sockets))}&port={POSTGRES_PORT}"
        return f"postgresql://{POSTGRES_USER}@/{name}?{socket}"

    def remove_sockets(self) -> None:
        """Unless another server still has one here."""
        with suppress(OSError):
            self.sockets.rmdir()

    def redis_url(self, number: int = 0) -> str:
        return f"unix://{quote(str(self.valkey_socket))}?db={number}"


def home() -> Home:
    """This repository's home. RUNESTONE_DATA_DIR moves it, and makes it another one."""
    chosen = os.environ.get("RUNESTONE_DATA_DIR", "")
    key = _short_hash(str(Path(chosen).resolve()) if chosen else str(REPO))
    return Home(
        data=Path(chosen).resolve() if chosen else _default_data_dir(key),
        sockets=SOCKETS_ROOT / f"runestone-{os.getuid()}-{key}",
    )


def database_url() -> str:
    return home().database_url()


def redis_url() -> str:
    return home().redis_url()


def celery_broker_url(redis_url: str) -> str:
    """The same server in Celery's words: it knows sockets as `redis+socket://` only."""
    url = urlsplit(redis_url)
    if url.scheme != "unix":
        return redis_url
    number = parse_qs(url.query).get("db", ["0"])[0]
    return f"redis+socket://{url.path}?virtual_host={number}"


def claim_private_directory(path: Path, owners: tuple[int, ...]) -> None:
    """Make `path` (0700) or accept the one that is there, if it is ours and no one else's.

    The parent may be /tmp, where anybody could have put a symlink under the name we expect.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=PRIVATE, parents=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise UnsafePathError(
            f"{path} belongs to someone else or is a link. Remove it and try again."
        )
    path.chmod(PRIVATE)


def _default_data_dir(key: str) -> Path:
    # Postgres refuses to run as root, and the account it gets instead (see account.py) often
    # cannot reach into the repository: so root's data goes to a place that everybody can enter.
    if os.getuid() == 0:
        return ROOTS_DATA / f"runestone-{key}"
    return REPO / ".runestone"


def _short_hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:10]
