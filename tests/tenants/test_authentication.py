"""From a header to a caller, over a real Postgres, with changes by plain SQL."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone

from runestone.lib.database import Connection, conninfo
from runestone.lib.errors import Forbidden, Unauthenticated
from runestone.lib.revisions import Revisions
from tenants import authentication, keys
from tenants.authentication import Authenticator
from tenants.models import ApiKey


@pytest.fixture(autouse=True)
def blocking_orm(monkeypatch):
    """Nobody else waits on a test's loop."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


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


@dataclass
class Knock:
    """What a call shows of its caller."""

    headers: dict[str, str]
    address: str = "192.0.2.7"
    scope_needed: str = "inference"


def bearer(key, **shown):
    return Knock({"authorization": f"Bearer {key}"}, **shown)


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
    caller = await authenticator.aauthenticate(Knock({header: value.format(acme.key)}))
    assert caller.api_key_id == acme.api_key.id


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic YTpi"}, {"api-key": ""}])
async def test_no_key_has_openais_words(authenticator, headers):
    with pytest.raises(Unauthenticated, match="You didn't provide an API key") as caught:
        await authenticator.aauthenticate(Knock(headers))
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


# What a key is limited to.


def limit(account, **limits):
    for name, value in limits.items():
        setattr(account.api_key, name, value)
    account.api_key.full_clean()
    account.api_key.save()


@pytest.mark.parametrize(
    ("patterns", "allowed", "refused"),
    [
        ([], ["gpt-4o", ""], []),
        (["gpt-4o"], ["gpt-4o"], ["gpt-4o-mini", "gpt", "", "GPT-4o"]),
        (["gpt-4o*"], ["gpt-4o", "gpt-4o-mini"], ["gpt-4", "my-gpt-4o"]),
        (["*"], ["anything", ""], []),
        (["*mini", "echo"], ["gpt-4o-mini", "echo", "mini"], ["mini-gpt", "echoes"]),
        (["a*b*c"], ["abc", "a-b-c", "abbcc"], ["acb", "ab", "ac", "abcd"]),
        (["aa*aa"], ["aaaa", "aaxaa"], ["aaa", "aa"]),
        (["a*ba*ba"], ["axbaxba", "ababa"], ["aba"]),
        (["gpt-[34]", "gpt-?"], ["gpt-[34]", "gpt-?"], ["gpt-3", "gpt-4"]),
    ],
)
async def test_a_key_may_use_the_models_it_names(
    authenticator, acme, globex, patterns, allowed, refused
):
    limit(acme, models_allow=patterns)
    caller = await authenticator.aauthenticate(bearer(acme.key))
    assert [name for name in [*allowed, *refused] if caller.may_use(name)] == allowed
    stranger = await authenticator.aauthenticate(bearer(globex.key))
    assert stranger.may_use("gpt-99")


@pytest.mark.parametrize(
    ("networks", "address", "welcome"),
    [
        ([], "192.0.2.7", True),
        ([], "", True),
        (["192.0.2.0/24"], "192.0.2.7", True),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
        (["10.0.0.0/8", "192.0.2.7"], "192.0.2.7", True),
        (["10.0.0.0/8"], "192.0.2.7", False),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["192.0.2.0/24"], "", False),
        (["192.0.2.0/24"], "192.0.2.7, 10.0.0.1", False),
    ],
)
async def test_a_key_may_come_from_the_networks_it_names(
    authenticator, acme, globex, networks, address, welcome
):
    limit(acme, ip_allow=networks)
    await authenticator.aauthenticate(bearer(globex.key, address=address))
    if welcome:
        await authenticator.aauthenticate(bearer(acme.key, address=address))
        return
    with pytest.raises(Forbidden) as caught:
        await authenticator.aauthenticate(bearer(acme.key, address=address))
    assert (caught.value.status, caught.value.code) == (403, "ip_not_authorized")


async def test_what_is_no_network_allows_nobody(authenticator, change, acme):
    """As written by plain SQL, past every form."""
    change("UPDATE tenants_apikey SET ip_allow = '{rubbish}' WHERE id = %s", acme.api_key.id)
    with pytest.raises(Forbidden):
        await authenticator.aauthenticate(bearer(acme.key))


async def test_a_key_is_good_for_its_scopes(authenticator, acme, globex):
    limit(acme, scopes=["models"])
    await authenticator.aauthenticate(bearer(acme.key, scope_needed="models"))
    await authenticator.aauthenticate(bearer(globex.key))
    with pytest.raises(Forbidden, match="Missing scopes: inference") as caught:
        await authenticator.aauthenticate(bearer(acme.key))
    assert (caught.value.status, caught.value.code) == (403, "insufficient_permissions")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("models_allow", ["gpt-4o", ""]),
        ("models_allow", ["gpt 4o"]),
        ("models_allow", ["x" * 201]),
        ("ip_allow", ["10.0.0.1/8"]),
        ("ip_allow", ["example.com"]),
        ("ip_allow", ["10.0.0.0/33"]),
        ("scopes", ["everything"]),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(acme, field, value):
    with pytest.raises(ValidationError) as caught:
        limit(acme, **{field: value})
    assert list(caught.value.message_dict) == [field]


# Without authentication.


@pytest.fixture
async def open_door(info, acme):
    made = Authenticator(info, settings.RUNESTONE_KEY_PEPPER, anonymous_tenant=acme.tenant.slug)
    yield made
    await made.close()


async def test_without_a_key_one_is_the_tenants_first_active_key(open_door, acme, globex):
    assert (await open_door.aauthenticate(Knock({}))).api_key_id == acme.api_key.id
    second, _ = ApiKey.mint(tenant=acme.tenant, name="second")
    acme.api_key.revoke()
    await open_door.reload(Connection(conninfo(settings.DATABASES["default"])))
    assert (await open_door.aauthenticate(Knock({}))).api_key_id == second.id
    stranger = await open_door.aauthenticate(bearer(globex.key))
    assert stranger.tenant_id == globex.tenant.id


async def test_a_wrong_key_is_refused_even_so(open_door):
    with pytest.raises(Unauthenticated, match="Incorrect API key"):
        await open_door.aauthenticate(bearer("sk-wrong"))


async def test_the_limits_of_the_first_key_hold(open_door, acme):
    limit(acme, ip_allow=["10.0.0.0/8"])
    with pytest.raises(Forbidden):
        await open_door.aauthenticate(Knock({}))


async def test_an_expired_first_key_gives_way_to_the_next(open_door, acme):
    acme.api_key.expires_at = timezone.now() + timedelta(seconds=0.3)
    acme.api_key.save()
    second, _ = ApiKey.mint(tenant=acme.tenant, name="second")
    await open_door.aauthenticate(Knock({}))
    await asyncio.sleep(0.35)
    assert (await open_door.aauthenticate(Knock({}))).api_key_id == second.id


async def test_without_any_active_key_nobody_is_let_in(open_door, acme):
    acme.api_key.revoke()
    with pytest.raises(Unauthenticated, match="You didn't provide an API key"):
        await open_door.aauthenticate(Knock({}))


# Keys that were made elsewhere.

BROUGHT = "sk-litellm-0123456789-abcdefghij-" + "x" * 20


def brought_to(settings, account, suffix):
    """A key that the operator names for this account; gives its text."""
    text = f"{BROUGHT}{suffix}{account.tenant.pk}"
    settings.RUNESTONE_API_KEYS = [f"{account.tenant.slug}:{text}"]
    call_command("seed_keys", verbosity=0)
    return text


async def test_a_brought_key_works_whatever_its_form(
    authenticator, revisions, settings, acme, globex, lookups
):
    text = brought_to(settings, acme, "")
    await revisions.refresh()
    caller = await authenticator.aauthenticate(bearer(text))
    assert caller.tenant_id == acme.tenant.id
    assert (await authenticator.aauthenticate(bearer(globex.key))).tenant_id == globex.tenant.id
    lookups.clear()
    for wrong in (text + "x", text[:-1], "x" * 60, "x" * 10_000):
        with pytest.raises(Unauthenticated):
            await authenticator.aauthenticate(bearer(wrong))
    assert lookups == []


def test_keys_are_brought_once(live, settings, acme, globex, capsys):
    text = brought_to(settings, acme, "once")
    call_command("seed_keys")
    assert capsys.readouterr().out == (
        "1 keys added, 0 were here already\n0 keys added, 1 were here already\n"
    )
    key = ApiKey.objects.get(tenant=acme.tenant, name="from RUNESTONE_API_KEYS")
    assert str(key).endswith("(" + key.prefix + ")")
    assert keys.is_foreign(key.prefix)
    assert text[-12:] not in f"{key}{key.prefix}"
    key.revoke()
    call_command("seed_keys")
    key.refresh_from_db()
    assert key.state == "revoked"
    settings.RUNESTONE_API_KEYS = [f"{globex.tenant.slug}:{text}"]
    with pytest.raises(CommandError, match="another tenant's"):
        call_command("seed_keys")


def test_one_of_our_own_keys_may_be_brought_too(live, settings, acme):
    minted = keys.mint(settings.RUNESTONE_KEY_PEPPER)
    settings.RUNESTONE_API_KEYS = [f"{acme.tenant.slug}:{minted.text}"]
    call_command("seed_keys", verbosity=0)
    assert ApiKey.objects.get(prefix=minted.prefix).tenant_id == acme.tenant.id


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("nobody:" + "x" * 32, "no tenant 'nobody'"),
        ("acme:" + "x" * 31, "31 characters"),
        ("acme", "0 characters"),
        ("acme:" + "é" * 32, "plain ASCII"),
        ("acme:" + "x" * 20 + " " + "x" * 20, "plain ASCII"),
    ],
)
def test_a_slip_in_the_list_is_told_without_the_key(live, settings, entry, words):
    settings.RUNESTONE_API_KEYS = [entry]
    with pytest.raises(CommandError, match=words) as caught:
        call_command("seed_keys")
    assert "x" * 20 not in str(caught.value)


async def test_a_brought_key_that_nobody_brought_costs_no_lookup(authenticator, lookups):
    with pytest.raises(Unauthenticated):
        await authenticator.aauthenticate(bearer(BROUGHT))
    assert lookups == []
