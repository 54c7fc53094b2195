"""The data plane's connection, against a real server: what breaks, and what comes after."""

import asyncio
import time

import psycopg
import pytest
from django.conf import settings

from runestone.lib.database import Connection, conninfo
from runestone.lib.errors import Unavailable


@pytest.fixture
def info(live):
    return conninfo(settings.DATABASES["default"])


@pytest.fixture
async def connection(info):
    made = Connection(info)
    yield made
    await made.close()


async def process_id(connection: Connection) -> int:
    [(number,)] = await connection.fetch("SELECT pg_backend_pid()")
    return number


def terminate(info: str, process: int) -> None:
    with psycopg.connect(info) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])


def activity_of(info: str, process: int) -> tuple[str, str] | None:
    with psycopg.connect(info) as other:
        return other.execute(
            "SELECT state, query FROM pg_stat_activity WHERE pid = %s", [process]
        ).fetchone()


async def test_it_works(connection):
    assert await connection.fetch("SELECT %s::int, %s::text", [1, "a"]) == [(1, "a")]


async def test_its_session_is_set_up_for_the_data_plane(connection):
    [row] = await connection.fetch(
        "SELECT current_setting('timezone'), current_setting('statement_timeout'),"
        " current_setting('application_name')"
    )
    assert row == ("UTC", "10s", "runestone-gateway")


async def test_each_statement_is_committed_by_itself(connection, info):
    [(number,)] = await connection.fetch(
        "UPDATE config_revision SET number = number + 1 WHERE topic = 'prices' RETURNING number"
    )
    with psycopg.connect(info) as other:
        [seen] = other.execute("SELECT number FROM config_revision WHERE topic = 'prices'")
    assert seen == (number,)


async def test_it_keeps_its_session(connection):
    assert await process_id(connection) == await process_id(connection)


async def test_it_reopens_after_its_session_was_ended(connection, info):
    first = await process_id(connection)
    terminate(info, first)
    with pytest.raises(Unavailable):
        await connection.fetch("SELECT 1")
    assert await process_id(connection) != first


async def test_a_session_that_ends_during_a_statement_is_unavailable(connection, info):
    first = await process_id(connection)
    sleeping = asyncio.ensure_future(connection.fetch("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.05)
    terminate(info, first)
    with pytest.raises(Unavailable):
        await sleeping
    assert await process_id(connection) != first


async def test_an_unreachable_server_is_unavailable():
    away = Connection("host=127.0.0.1 port=1 dbname=x user=x connect_timeout=1")
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await away.fetch("SELECT 1")
    assert caught.value.status == 503
    assert "127.0.0.1" not in caught.value.message


async def test_a_wrong_statement_is_no_lost_connection(connection):
    first = await process_id(connection)
    with pytest.raises(psycopg.errors.UndefinedTable):
        await connection.fetch("SELECT * FROM no_such_table")
    assert await process_id(connection) == first


async def test_a_statement_that_takes_too_long_is_unavailable(connection):
    await connection.fetch("SELECT set_config('statement_timeout', '50', false)")
    with pytest.raises(Unavailable):
        await connection.fetch("SELECT pg_sleep(30)")
    assert await connection.fetch("SELECT 1") == [(1,)]


async def test_a_cancelled_statement_ends_on_the_server_too(connection, info):
    first = await process_id(connection)
    sleeping = asyncio.ensure_future(connection.fetch("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.05)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    deadline = time.monotonic() + 5
    while (activity := activity_of(info, first)) is not None and activity[0] == "active":
        assert time.monotonic() < deadline, activity
    assert await connection.fetch("SELECT 2") == [(2,)]


async def test_a_caller_that_leaves_gets_nobody_elses_rows(connection):
    """The next statement must never read what a cancelled one left behind."""
    for number in range(20):
        leaving = asyncio.ensure_future(connection.fetch("SELECT -1, pg_sleep(0.01)"))
        await asyncio.sleep(0.0005 * number)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert await connection.fetch("SELECT %s::int", [number]) == [(number,)]


async def test_a_caller_that_leaves_the_queue_disturbs_nobody(connection):
    first = asyncio.ensure_future(connection.fetch("SELECT 1, pg_sleep(0.05)"))
    waiting = asyncio.ensure_future(connection.fetch("SELECT 2"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    assert (await first)[0][0] == 1


async def test_many_callers_share_it_in_turn(connection):
    numbers = range(50)
    rows = await asyncio.gather(*(connection.fetch("SELECT %s::int", [n]) for n in numbers))
    assert rows == [[(n,)] for n in numbers]


async def test_it_can_be_closed_and_used_again(connection):
    first = await process_id(connection)
    await connection.close()
    assert await process_id(connection) != first


def test_options_that_libpq_does_not_know_are_left_out():
    database = {
        "NAME": "a b", "USER": "u", "PASSWORD": "p'w", "HOST": "", "PORT": "",
        "OPTIONS": {"pool": True, "sslmode": "prefer"},
    }  # fmt: skip
    parts = psycopg.conninfo.conninfo_to_dict(conninfo(database))
    assert (parts["dbname"], parts["password"], parts["sslmode"]) == ("a b", "p'w", "prefer")
    assert "pool" not in parts
    assert "host" not in parts
