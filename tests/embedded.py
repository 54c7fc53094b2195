"""A pytest plugin: throw-away Postgres and Valkey for one run, unless URLs to others are set.

Loaded with `-p tests.embedded`, so that the URLs are in the environment before pytest-django
reads the settings. The servers themselves start later, once it is certain that tests will run.
pytest-xdist's workers inherit the environment of the process that starts them.
"""

import os

import pytest

from runestone.local import secrets
from runestone.local.postgres import without_pg_variables
from runestone.local.throwaway import ThrowawayServers

REDIS_WORKERS_URL = "RUNESTONE_TEST_REDIS_URL"

_wanted: set[str] = set()
_servers: ThrowawayServers | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """The first hook there is. Nothing slow may happen here: `--help` comes by as well."""
    for name, value in secrets.fresh().items():
        os.environ.setdefault(name, value)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker:
        _take_own_database(worker)
    else:
        _set_urls()


def pytest_sessionstart(session: pytest.Session) -> None:
    if _servers is not None and not session.config.option.collectonly:
        _servers.start(postgres="DATABASE_URL" in _wanted, valkey="REDIS_URL" in _wanted)


def pytest_report_header() -> str | None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return None
    names = {"DATABASE_URL": "Postgres", "REDIS_URL": "Valkey"}
    said = [
        f"{what}: {'embedded, thrown away afterwards' if name in _wanted else f'{name} as given'}"
        for name, what in names.items()
    ]
    return "; ".join(said)


def pytest_unconfigure() -> None:
    if _servers is not None:
        _servers.stop()


def _set_urls() -> None:
    global _servers
    _wanted.update({"DATABASE_URL", "REDIS_URL"} - {name for name, v in os.environ.items() if v})
    if not _wanted:
        return
    _servers = ThrowawayServers()
    if "DATABASE_URL" in _wanted:
        for name in os.environ.keys() - without_pg_variables(os.environ):
            del os.environ[name]
        os.environ["DATABASE_URL"] = _servers.database_url
    if "REDIS_URL" in _wanted:
        os.environ["REDIS_URL"] = os.environ[REDIS_WORKERS_URL] = _servers.redis_url


def _take_own_database(worker: str) -> None:
    """Limits and caches of parallel workers would meet in one; gw0 takes number 1, and so on."""
    url = os.environ.get(REDIS_WORKERS_URL)
    if url:
        number = int(worker.removeprefix("gw")) + 1
        os.environ["REDIS_URL"] = f"{url.rsplit('=', 1)[0]}={number}"
