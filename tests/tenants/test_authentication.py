"""From a header to a caller, over a real Postgres, with changes by plain SQL."""

import asyncio

import psycopg
import pytest
from django.conf import settings

from runestone.lib.database import Connection, conninfo
from runestone.lib.errors import Forbidden, Unauthenticated
from runestone.lib.revisions import Revisions
from tenants import authentication, keys
from tenants.authentication import Authenticator


@pytest.fixture
def info(live):
    return conninfo(settings.DATABASES["default"])


@pytest.fixture
async def authenticator(info):
    made = Authenticator(info, settings.RUNESTONE_KEY_PEPPER)
    yield made
    await made.close()


@pytest.fixture
async def revisions(info, authenticator):
    connection = Connection(info)
    made = Revisions(connection)
    made.watch("access", authenticator.reload)
    await made.refresh()
    yield made
    await connection.close()


@pytest.fixture
def change(info):
    """change("UPDATE …", parameter): somebody else's transaction."""

    def changed(statement, *parameters):
        with psycopg.connect(info, autocommit=True) as other:
            other.execute(statement, parameters)

    return changed


@pytest.fixture
def lookups(authenticator, monkeypatch):
    """How many keys were looked up in the database so far."""
    asked = []
    look_up = authenticator._connection.fetch

    async def fetch(statement, parameters=()):
        asked.extend(parameters[0])
        return await look_up(statement, parameters)

    monkeypatch.setattr(authenticator._connection, "fetch", fetch)
    return asked


def bearer(key):
    return {"authorization": f"Bearer {key}"}


REVOKE = "UPDATE tenants_apikey SET revoked_at = now() WHERE id = %s"


async def test_it_works(authenticator, acme, globex):
    caller = await authenticator.aauthenticate(bearer(acme.key))
    assert caller.tenant_id == acme.tenant.id
    assert caller.tenant_slug == acme.tenant.slug
    assert caller.project_id == acme.project.id
    assert caller.api_key_id == acme.api_key.id
    stranger = await authenticator.aauthenticate(bearer(globex.key))
    assert stranger.tenant_id == globex.tenant.id


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("authorization", "Bearer {}"),
        ("authorization", "bearer {}"),
        ("authorization", "BEARER   {} "),
        ("api-key", "{}"),
        ("x-api-key", " {} "),
    ],
)
async def test_every_way_to_present_a_key(authenticator, acme, header, value):
    caller = await authenticator.aauthenticate({header: value.format(acme.key)})
    assert caller.api_key_id == acme.api_key.id


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic YTpi"}, {"api-key": ""}])
async def test_no_key_has_openais_words(authenticator, headers):
    with pytest.raises(Unauthenticated, match="You didn't provide an API key") as caught:
        await authenticator.aauthenticate(headers)
    assert (caught.value.status, caught.value.code) == (401, None)


async def test_an_unknown_key_is_refused_and_masked(authenticator):
    unknown = keys.mint("another pepper").text
    with pytest.raises(Unauthenticated) as caught:
        await authenticator.aauthenticate(bearer(unknown))
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    assert caught.value.message == f"Incorrect API key provided: {keys.masked(unknown)}."
    assert unknown[12:60] not in caught.value.message


@pytest.mark.parametrize("text", ["", "sk-", "sk-proj-" + "a" * 59, "é" * 67, "x" * 10_000, "\0"])
async def test_what_cannot_be_a_key_never_reaches_the_database(authenticator, lookups, text):
    with pytest.raises(Unauthenticated):
        await authenticator.aauthenticate(bearer(text))
    assert lookups == []


async def test_a_mistyped_key_never_reaches_the_database(authenticator, lookups, acme):
    typo = acme.key[:-1] + ("0" if acme.key[-1] != "0" else "1")
    with pytest.raises(Unauthenticated):
        await authenticator.aauthenticate(bearer(typo))
    assert lookups == []


async def test_a_key_is_looked_up_once(authenticator, lookups, acme):
    for _ in range(3):
        await authenticator.aauthenticate(bearer(acme.key))
    assert len(lookups) == 1


async def test_an_unknown_key_is_looked_up_once(authenticator, lookups):
    unknown = keys.mint("another pepper").text
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await authenticator.aauthenticate(bearer(unknown))
    assert len(lookups) == 1


async def test_a_revoked_key_is_refused_after_a_refresh(authenticator, revisions, change, acme):
    await authenticator.aauthenticate(bearer(acme.key))
    change(REVOKE, acme.api_key.id)
    await revisions.refresh()
    with pytest.raises(Unauthenticated) as caught:
        await authenticator.aauthenticate(bearer(acme.key))
    assert caught.value.message.startswith("Incorrect API key provided")


async def test_a_new_key_works_at_once_even_if_it_was_unknown(
    authenticator, revisions, change, acme
):
    minted = keys.mint(settings.RUNESTONE_KEY_PEPPER)
    with pytest.raises(Unauthenticated):
        await authenticator.aauthenticate(bearer(minted.text))
    change(
        "INSERT INTO tenants_apikey (tenant_id, name, prefix, digest, created)"
        " VALUES (%s, 'new', %s, %s, now())",
        acme.tenant.id,
        minted.prefix,
        minted.digest,
    )
    await revisions.refresh()
    caller = await authenticator.aauthenticate(bearer(minted.text))
    assert caller.tenant_id == acme.tenant.id


async def test_a_key_expires_by_itself(authenticator, revisions, change, acme):
    expires = "UPDATE tenants_apikey SET expires_at = now() + %s::interval WHERE id = %s"
    change(expires, "0.6 seconds", acme.api_key.id)
    await revisions.refresh()
    await authenticator.aauthenticate(bearer(acme.key))
    await asyncio.sleep(0.65)
    with pytest.raises(Unauthenticated, match="expired") as caught:
        await authenticator.aauthenticate(bearer(acme.key))
    assert caught.value.code == "invalid_api_key"


async def test_a_suspended_tenant_is_forbidden_and_may_come_back(
    authenticator, revisions, change, acme, globex
):
    await authenticator.aauthenticate(bearer(acme.key))
    status = "UPDATE tenants_tenant SET status = %s WHERE id = %s"
    change(status, "suspended", acme.tenant.id)
    await revisions.refresh()
    with pytest.raises(Forbidden) as caught:
        await authenticator.aauthenticate(bearer(acme.key))
    assert (caught.value.status, caught.value.code) == (403, "account_suspended")
    await authenticator.aauthenticate(bearer(globex.key))
    change(status, "active", acme.tenant.id)
    await revisions.refresh()
    await authenticator.aauthenticate(bearer(acme.key))


async def test_memory_is_bounded(authenticator, acme, monkeypatch):
    monkeypatch.setattr(authentication, "KEYS_REMEMBERED_MAX", 10)
    unknown = [bearer(keys.mint("another pepper").text) for _ in range(50)]
    await asyncio.gather(
        *(authenticator.aauthenticate(headers) for headers in unknown), return_exceptions=True
    )
    assert len(authenticator._known) == 10
    await authenticator.aauthenticate(bearer(acme.key))
    assert len(authenticator._known) == 10


async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    authenticator, revisions, change, acme, monkeypatch
):
    """The row is read, then the key is revoked and all is forgotten, then the reader goes on."""
    read, may_go_on = asyncio.Event(), asyncio.Event()
    fetch = authenticator._connection.fetch

    async def slowly(*arguments):
        rows = await fetch(*arguments)
        read.set()
        await may_go_on.wait()
        return rows

    monkeypatch.setattr(authenticator._connection, "fetch", slowly)
    early = asyncio.ensure_future(authenticator.aauthenticate(bearer(acme.key)))
    await read.wait()
    change(REVOKE, acme.api_key.id)
    await revisions.refresh()
    may_go_on.set()
    await early
    with pytest.raises(Unauthenticated):
        await authenticator.aauthenticate(bearer(acme.key))


async def test_many_callers_at_once_share_their_lookups(authenticator, acme, globex):
    headers = [bearer(account.key) for account in (acme, globex)] * 50
    callers = await asyncio.gather(*map(authenticator.aauthenticate, headers))
    assert [caller.tenant_id for caller in callers] == [acme.tenant.id, globex.tenant.id] * 50


async def test_a_caller_that_leaves_disturbs_nobody(authenticator, acme, globex):
    leaving = asyncio.ensure_future(authenticator.aauthenticate(bearer(acme.key)))
    staying = asyncio.ensure_future(authenticator.aauthenticate(bearer(globex.key)))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).tenant_id == globex.tenant.id
