"""The store by itself: its bounds, and that its failure costs nobody an answer."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.conf import settings

from api.requests import Call
from api.responses import store as stores
from api.responses.conversation import gather
from api.responses.desk import Desk
from api.responses.reading import read
from api.responses.store import Store, Stored
from runestone.lib.database import conninfo
from runestone.lib.encryption import Vault
from runestone.lib.errors import BadRequest, Unavailable, UpstreamBroken
from runestone.lib.ids import uuid7
from tenants.authentication import Caller
from tests.cast import Account

ANSWER = b'{"model":"m","choices":[{"index":0,"message":{"content":"Yes"},"finish_reason":"stop"}]}'
EVENTS = b'data: {"choices":[{"index":0,"delta":{"content":"Yes"},"finish_reason":"stop"}]}\n\n'


def caller_of(account: Account) -> Caller:
    return Caller(
        tenant_id=account.tenant.pk,
        tenant_slug=account.tenant.slug,
        tenant_status="active",
        project_id=None,
        api_key_id=account.api_key.pk,
        default_model="",
        max_output_tokens=None,
        routing_policy="",
        hedge_seconds=None,
        expires_at=None,
        revoked_at=None,
    )


def make_store(info: str, *, chain_bytes_max: int = 1_000_000) -> Store:
    vault = Vault(settings.RUNESTONE_CREDENTIAL_KEYS)
    return Store(info, vault, days=1, chain_bytes_max=chain_bytes_max)


@pytest.fixture
async def store(live: str) -> AsyncIterator[Store]:
    made = make_store(conninfo(settings.DATABASES["default"]))
    yield made
    await made.close()


async def conversation(store: Store, caller: Caller, turns: int) -> list[UUID]:
    ids: list[UUID] = []
    for number in range(turns):
        item = {"id": f"msg_{number}", "type": "message", "role": "user", "content": str(number)}
        ids.append(uuid7())
        previous = ids[-2] if number else None
        await store.put(caller, ids[-1], previous, Stored({"output": []}, [item]))
    return ids


async def test_it_works(store: Store, acme: Account):
    caller = caller_of(acme)
    ids = await conversation(store, caller, 3)

    chain = await store.chain(caller.tenant_id, ids[-1])
    assert [each.input[0]["content"] for each in chain.responses] == ["0", "1", "2"]
    assert (chain.missing, chain.is_cut) == (None, False)


async def test_to_repeat_a_put_is_harmless(store: Store, acme: Account):
    [first] = await conversation(store, caller_of(acme), 1)
    await store.put(caller_of(acme), first, None, Stored({"other": 1}, []))
    found = await store.get(acme.tenant.pk, first)
    assert found is not None
    assert found.input


async def test_a_gap_is_told(store: Store, acme: Account):
    caller = caller_of(acme)
    ids = await conversation(store, caller, 3)
    assert await store.delete(caller.tenant_id, ids[0])
    assert not await store.delete(caller.tenant_id, ids[0])

    chain = await store.chain(caller.tenant_id, ids[-1])
    assert chain.missing == ids[0]
    asked = read(msgspec.json.encode({"input": "x", "previous_response_id": f"resp_{ids[-1].hex}"}))
    with pytest.raises(BadRequest) as caught:
        await gather(asked, store, caller.tenant_id, uuid7())
    assert ids[0].hex in caught.value.message


async def test_a_chain_is_bounded_by_its_length(
    store: Store, acme: Account, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stores, "CHAIN_RESPONSES_MAX", 3)
    caller = caller_of(acme)
    ids = await conversation(store, caller, 5)

    assert not (await store.chain(caller.tenant_id, ids[2])).is_cut
    assert (await store.chain(caller.tenant_id, ids[3])).is_cut
    assert len((await store.chain(caller.tenant_id, ids[4])).responses) == 4


async def test_a_chain_is_bounded_by_its_bytes(store: Store, acme: Account):
    caller = caller_of(acme)
    ids = await conversation(store, caller, 5)
    small = make_store(conninfo(settings.DATABASES["default"]), chain_bytes_max=300)
    chain = await small.chain(caller.tenant_id, ids[-1])
    assert chain.is_cut
    assert len(chain.responses) < 5
    asked = read(msgspec.json.encode({"input": "x", "previous_response_id": f"resp_{ids[-1].hex}"}))
    with pytest.raises(BadRequest) as caught:
        await gather(asked, small, caller.tenant_id, uuid7())
    assert caught.value.code == "context_length_exceeded"
    await small.close()


# A store that cannot be reached.


class Access:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def aauthenticate(self, call: Call) -> Caller:
        return self._caller


class Provider:
    """In the pipeline's place."""

    def __init__(self, events: bytes = EVENTS) -> None:
        self._events = events
        self.settled_with: Exception | None = None

    async def complete(self, call: Call) -> bytes:
        return ANSWER

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        try:
            yield self._events
        except Exception as error:
            self.settled_with = error
            raise


def desk_without_database(provider: Provider | None = None) -> Desk:
    caller = caller_of(
        SimpleNamespace(tenant=SimpleNamespace(pk=1, slug="x"), api_key=SimpleNamespace(pk=1))  # type: ignore[arg-type]
    )
    return Desk(
        Access(caller), provider or Provider(), make_store("host=127.0.0.1 port=1 dbname=x")
    )  # type: ignore[arg-type]


def call_for(**fields: Any) -> Call:
    body = msgspec.json.encode({"model": "m", "input": "x", **fields})
    return Call({"content-type": "application/json"}, body)


async def test_a_store_that_fails_does_not_lose_the_answer(caplog: pytest.LogCaptureFixture):
    response = msgspec.json.decode(await desk_without_database().create(call_for()))

    assert response["output"][0]["content"][0]["text"] == "Yes"
    assert response["store"] is False, "the caller is told"
    assert "could not be kept" in caplog.text


async def test_nor_that_of_a_stream(caplog: pytest.LogCaptureFixture):
    events = [event async for event in desk_without_database().stream(call_for(stream=True))]
    assert events[-1].startswith(b"event: response.completed\n")
    assert b'"store":false' in events[-1]
    assert "could not be kept" in caplog.text


async def test_what_we_cannot_read_is_settled_as_the_providers_failure():
    provider = Provider(EVENTS + b'data: {"choices":5}\n\n')
    desk = desk_without_database(provider)
    events = [event async for event in desk.stream(call_for(stream=True, store=False))]

    assert isinstance(provider.settled_with, UpstreamBroken)
    assert events[-2].startswith(b"event: response.failed\n")
    assert events[-1].startswith(b"event: error\n")


async def test_what_needs_the_store_waits_for_it():
    name = f"resp_{'0' * 32}"
    with pytest.raises(Unavailable):
        await desk_without_database().create(call_for(previous_response_id=name))
    with pytest.raises(Unavailable):
        await desk_without_database().retrieve(call_for(), name)
