"""Each test is a failure that was once seen."""

import os
import signal
from contextlib import suppress

import psycopg
import pytest

from runestone.local import postgres as postgres_module
from runestone.local.account import server_account
from runestone.local.errors import NoServerError, ServerFailedError
from runestone.local.postgres import CONNECTIONS_MAX, Postgres
from runestone.local.process import Process

from .conftest import abandon, processes_below, wait_until


@pytest.fixture
def postgres(home):
    return Postgres(home, durable=False)


def ask(postgres, question):
    with psycopg.connect(postgres.home.database_url()) as connection:
        return connection.execute(question).fetchone()[0]


def tell(postgres, statement):
    with psycopg.connect(postgres.home.database_url()) as connection:
        connection.execute(statement)


def test_it_works(postgres, running, monkeypatch):
    """In a path with a space, with a garbage locale, and with a user's own PG variables."""
    monkeypatch.setenv("LANG", "garbage")
    monkeypatch.setenv("LC_ALL", "xx_YY.nonsense")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGOPTIONS", "--nonsense")
    running(postgres)
    monkeypatch.undo()
    assert ask(postgres, "SELECT lower('ÄÉ')") == "äé"
    assert ask(postgres, "SHOW server_encoding") == "UTF8"
    assert int(ask(postgres, "SHOW max_connections")) == CONNECTIONS_MAX
    assert ask(postgres, "SHOW listen_addresses") == ""

    tell(postgres, "CREATE TABLE kept AS SELECT 1 AS one")
    postgres.stop()
    assert processes_below(postgres.home.data) == {}
    running(Postgres(postgres.home, durable=False))
    assert ask(postgres, "SELECT one FROM kept") == 1


def test_it_comes_back_after_everything_was_killed(home, running):
    durable = running(Postgres(home))
    tell(durable, "CREATE TABLE kept AS SELECT 1 AS one")
    os.killpg(durable.process.pid, signal.SIGKILL)
    for process_id in processes_below(home.data):
        with suppress(ProcessLookupError):  # it may follow its parent before we come to it
            os.kill(process_id, signal.SIGKILL)
    abandon(durable)
    # Not reaped yet: a dead postmaster that still answers to `kill -0`.
    again = running(Postgres(home))
    assert ask(again, "SELECT one FROM kept") == 1


def test_a_pid_file_with_somebody_elses_process_does_not_keep_it_out(postgres, running, home):
    """After a reboot the number in there may be any living process."""
    running(postgres)
    postgres.stop()
    stale = f"{os.getppid()}\n{home.data / 'postgres'}\n1\n5432\n{home.sockets}\n\n"
    (home.data / "postgres/postmaster.pid").write_text(stale)
    server_account().own(home.sockets)
    (home.sockets / ".s.PGSQL.5432.lock").write_text(stale)
    running(Postgres(home, durable=False))


def test_initdb_killed_in_the_middle_is_done_again(postgres, running, home):
    unfinished = home.data / "postgres.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server_account().own(unfinished)
    running(postgres)
    assert not unfinished.exists()


def test_a_killed_initdb_holds_the_lock_only_as_long_as_it_lives(postgres, home, monkeypatch):
    def kill(process, seconds_max):
        with suppress(ProcessLookupError):  # asked once more, when it is gone already
            os.kill(process.pid, signal.SIGKILL)

    monkeypatch.setattr(Process, "wait", kill)
    with pytest.raises(ServerFailedError, match="initdb was killed by SIGKILL"):
        postgres.start()
    monkeypatch.undo()
    wait_until(lambda: not processes_below(home.data))
    postgres.start()
    postgres.stop()


def test_data_of_another_major_version_is_refused(postgres, running, home):
    running(postgres)
    postgres.stop()
    (home.data / "postgres/PG_VERSION").write_text("9\n")
    with pytest.raises(ServerFailedError, match="written by Postgres 9"):
        Postgres(home).start()


def test_without_a_wheel_it_says_what_to_set(postgres, monkeypatch):
    monkeypatch.delenv("RUNESTONE_PG_BIN", raising=False)
    monkeypatch.setattr(postgres_module, "in_wheel", lambda *names: None)
    with pytest.raises(NoServerError, match="DATABASE_URL"):
        postgres.start()


def test_a_wrong_directory_of_binaries_is_named(postgres, monkeypatch, tmp_path):
    monkeypatch.setenv("RUNESTONE_PG_BIN", str(tmp_path))
    with pytest.raises(NoServerError, match=str(tmp_path)):
        postgres.start()


@pytest.mark.skipif(os.getuid() != 0, reason="only root lends its servers another account")
def test_binaries_that_the_lent_account_cannot_reach_are_copied(
    postgres, running, tmp_path, home, monkeypatch
):
    """As below /root, or after pip ran with a umask of 077."""
    monkeypatch.delenv("RUNESTONE_PG_BIN", raising=False)
    found = postgres_module._installation()
    hidden = tmp_path / "site-packages"
    hidden.mkdir(mode=0o700)
    for part in found.parts:
        (hidden / part).parent.mkdir(exist_ok=True)
        (hidden / part).symlink_to(found.root / part)
    moved = type(found)(hidden, found.folder, found.parts)
    monkeypatch.setattr(postgres_module, "_installation", lambda: moved)
    running(postgres)
    assert list(home.data.glob("binaries-*/*"))
