"""Changes of configuration, by plain SQL, noticed over a real Postgres."""

import asyncio

import psycopg
import pytest
from django.conf import settings

from runestone.lib import revisions
from runestone.lib.database import Connection, conninfo
from runestone.lib.revisions import Revisions


class Reloads:
    """Counts the reloads of a topic; fails as often as it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.failures = 0

    async def __call__(self, connection: Connection) -> None:
        self.count += 1
        if self.failures:
            self.failures -= 1
            raise RuntimeError("cannot be read")


@pytest.fixture
def info(live):
    return conninfo(settings.DATABASES["default"])


@pytest.fixture
async def connection(info):
    made = Connection(info)
    yield made
    await made.close()


@pytest.fixture
async def watched(connection):
    """Revisions of which `access` and `prices` are watched, all seen once."""
    made = Revisions(connection)
    access, prices = Reloads(), Reloads()
    made.watch("access", access)
    made.watch("prices", prices)
    await made.refresh()
    yield made, access, prices
    await made.stop()


def change(info: str, statement: str) -> None:
    with psycopg.connect(info, autocommit=True) as other:
        other.execute(statement)


RENAME_TENANTS = "UPDATE tenants_tenant SET name = name"
TOUCH_PRICES = "UPDATE billing_price SET source = source"


async def test_it_works(watched, info):
    made, access, prices = watched
    change(info, RENAME_TENANTS)
    await made.refresh()
    assert (access.count, prices.count) == (2, 1)


async def test_every_topic_is_loaded_once_at_first(watched):
    made, access, prices = watched
    await made.refresh()
    assert (access.count, prices.count) == (1, 1)


@pytest.mark.parametrize(
    ("topic", "table"),
    [
        ("access", "tenants_tenant"),
        ("access", "tenants_apikey"),
        ("catalog", "providers_upstream"),
        ("catalog", "providers_model"),
        ("catalog", "providers_route"),
        ("catalog", "providers_credential"),
        ("prices", "billing_price"),
    ],
)
@pytest.mark.parametrize("statement", ["DELETE FROM {} WHERE false", "UPDATE {} SET id = id"])
def test_every_configuration_table_counts(info, topic, table, statement):
    number = "SELECT number FROM config_revision WHERE topic = %s"
    with psycopg.connect(info, autocommit=True) as other:
        [before] = other.execute(number, [topic]).fetchone()
        other.execute(statement.format(table))
        [after] = other.execute(number, [topic]).fetchone()
    assert after == before + 1


async def test_what_is_rolled_back_is_not_noticed(watched, info):
    made, access, _ = watched
    with psycopg.connect(info) as other:
        other.execute(RENAME_TENANTS)
        await made.refresh()
        other.rollback()
    await made.refresh()
    assert access.count == 1


async def test_a_failed_reload_is_tried_again(watched, info):
    made, access, _ = watched
    access.failures = 1
    change(info, RENAME_TENANTS)
    with pytest.raises(RuntimeError):
        await made.refresh()
    await made.refresh()
    await made.refresh()
    assert access.count == 3


@pytest.mark.parametrize("failing", ["access", "prices"])
async def test_a_failing_topic_does_not_keep_the_others_from_reloading(watched, info, failing):
    """Or an unreadable price would keep a revoked key alive."""
    made, access, prices = watched
    bad, good = (access, prices) if failing == "access" else (prices, access)
    bad.failures = 10
    change(info, RENAME_TENANTS)
    change(info, TOUCH_PRICES)
    with pytest.raises(RuntimeError):
        await made.refresh()
    assert good.count == 2


async def test_the_watcher_notices_by_itself(connection, info, monkeypatch):
    monkeypatch.setattr(revisions, "POLL_SECONDS", 0.01)
    made, access = Revisions(connection), Reloads()
    made.watch("access", access)
    await made.start()
    assert access.count == 1
    change(info, RENAME_TENANTS)
    async with asyncio.timeout(5):
        while access.count < 2:
            await asyncio.sleep(0.01)
    await made.stop()


async def test_the_watcher_outlives_a_lost_session(connection, info, monkeypatch):
    monkeypatch.setattr(revisions, "POLL_SECONDS", 0.01)
    made, access = Revisions(connection), Reloads()
    made.watch("access", access)
    await made.start()
    [(process,)] = await connection.fetch("SELECT pg_backend_pid()")
    change(info, f"SELECT pg_terminate_backend({process}, 5000)")
    change(info, RENAME_TENANTS)
    async with asyncio.timeout(5):
        while access.count < 2:
            await asyncio.sleep(0.01)
    await made.stop()
