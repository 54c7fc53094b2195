"""Probes over real sockets: of the mock provider, of one that is killed, and of worse ones."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from django.conf import settings

from providers import probes, tasks
from providers.board import PROBES_SECONDS_MAX, Board
from providers.models import Upstream
from providers.offers import Question
from runestone.lib.redis import connect
from runestone.local.mock_provider.process import MockProvider

KEY = "sk-mock"
PROBES_KEY = "runestone:{upstreams}:probes"


@pytest.fixture(scope="module")
def provider():
    with MockProvider(api_key=KEY) as running:
        yield running


@pytest.fixture
async def board():
    async with connect(settings.REDIS_URL) as redis:
        yield Board(redis)
        await redis.delete(PROBES_KEY)


def question(url, key=""):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return Question(url=f"{url}/models", headers=headers, query={}, has_key=bool(key))


async def outcome(board, asked):
    """Of one probe, as the gateways get it."""
    await probes.probe({"vendor": asked}, board)
    return (await board.probes())["vendor"]


@asynccontextmanager
async def answering(answer):
    """A server that says `answer` to every request; nothing at all, if that is None."""

    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            if answer is not None:
                writer.write(answer)
            else:
                await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def status(number):
    return b"HTTP/1.1 %d Whatever\r\ncontent-length: 0\r\nlocation: /elsewhere\r\n\r\n" % number


async def test_it_works(board, provider):
    before = provider.calls()["started"]
    found = await outcome(board, question(provider.url, KEY))
    assert (found.up, found.problem, found.failures) == (True, "", 0)
    assert found.at == pytest.approx(time.time(), abs=5)
    assert provider.calls()["started"] == before, "a probe is no call to a model"


async def test_a_provider_that_is_killed_is_down_until_it_is_back(board):
    with MockProvider() as provider:
        asked = question(provider.url)
        assert (await outcome(board, asked)).up
        provider.kill()
        for failures in (1, 2, 3):
            found = await outcome(board, asked)
            assert (found.up, found.failures) == (False, failures)
            assert found.problem == "it cannot be reached"
    async with answering(status(200)) as url:
        found = await outcome(board, question(url))
        assert (found.up, found.failures) == (True, 0)


async def test_a_rejected_key_shows_that_it_is_up_and_what_is_wrong(board, provider):
    found = await outcome(board, question(provider.url, "sk-wrong"))
    assert (found.up, found.problem) == (True, "it rejects our credential (HTTP 401)")


async def test_without_a_shared_key_a_401_is_what_one_expects(board, provider):
    """Tenants may have brought keys of their own."""
    found = await outcome(board, question(provider.url))
    assert (found.up, found.problem) == (True, "")


@pytest.mark.parametrize("number", [200, 302, 404, 429])
async def test_whatever_it_answers_shows_that_it_is_up(board, number):
    async with answering(status(number)) as url:
        found = await outcome(board, question(url, KEY))
    assert (found.up, found.problem) == (True, "")


@pytest.mark.parametrize("number", [500, 503, 529])
async def test_one_that_fails_is_down(board, number):
    async with answering(status(number)) as url:
        found = await outcome(board, question(url, KEY))
    assert (found.up, found.problem) == (False, f"it fails (HTTP {number})")


@pytest.mark.parametrize("answer", [b"SMTP at your service\r\n", b""], ids=["garbage", "silence"])
async def test_one_that_speaks_no_http_is_down(board, answer):
    async with answering(answer) as url:
        assert not (await outcome(board, question(url))).up


async def test_a_slow_one_holds_no_other_up(board, provider, monkeypatch):
    monkeypatch.setattr(probes, "PROBE_SECONDS_MAX", 0.5)
    began = time.monotonic()
    async with answering(None) as url:
        asked = {f"slow-{number}": question(url) for number in range(8)}
        await probes.probe({**asked, "vendor": question(provider.url, KEY)}, board)
    assert time.monotonic() - began < 2.0
    found = await board.probes()
    assert found.pop("vendor").up
    assert {each.problem for each in found.values()} == {"no answer within 0.5 s"}


@pytest.mark.parametrize("url", ["http://[", "http://vendor.invalid", "gopher://127.0.0.1"])
async def test_an_address_that_leads_nowhere_is_down(board, url):
    assert (await outcome(board, question(url))).problem == "it cannot be reached"


async def test_outcomes_replace_those_before_and_expire(board, provider):
    await probes.probe({"gone": question(provider.url), "vendor": question(provider.url)}, board)
    await probes.probe({"vendor": question(provider.url)}, board)
    assert set(await board.probes()) == {"vendor"}
    async with connect(settings.REDIS_URL) as redis:
        assert 0 < await redis.ttl(PROBES_KEY) <= PROBES_SECONDS_MAX


# As the worker does it.


@pytest.fixture
def vendor(db):
    """vendor("openai", url, key): the slug of a new upstream."""

    def made(dialect, base_url, key="", **fields):
        row = Upstream.objects.create(
            slug=f"{dialect}-{uuid4().hex[:8]}", name=dialect, dialect=dialect,
            base_url=base_url, **fields,
        )  # fmt: skip
        if key:
            row.add_credential(key)
        return row.slug

    return made


def posted():
    async def read():
        async with connect(settings.REDIS_URL) as redis:
            found = await Board(redis).probes()
            await redis.delete(PROBES_KEY)
            return found

    return asyncio.run(read())


def test_the_worker_probes_every_enabled_upstream(vendor, provider):
    good = vendor("openai", provider.url, KEY)
    bad = vendor("openai", provider.url, "sk-wrong")
    off = vendor("openai", provider.url, KEY, enabled=False)
    echo = vendor("echo", "echo://local")
    tasks.probe()
    found = posted()
    assert found[good].up
    assert not found[good].problem
    assert found[bad].problem == "it rejects our credential (HTTP 401)"
    assert not {off, echo} & set(found)


@pytest.mark.parametrize(
    ("dialect", "base", "path", "header"),
    [
        ("openai", "https://a.test/v1", "https://a.test/v1/models", "authorization"),
        ("anthropic", "https://b.test/v1", "https://b.test/v1/models", "x-api-key"),
        ("azure", "https://c.test/openai/v1", "https://c.test/openai/v1/models", "api-key"),
        ("ollama", "http://d.test", "http://d.test/api/tags", "authorization"),
    ],
)
def test_each_dialect_is_asked_in_its_own_way(vendor, dialect, base, path, header):
    slug = vendor(dialect, base, KEY)
    asked = probes.questions()[slug]
    assert asked.url == path
    assert KEY in asked.headers[header]
    assert asked.has_key


def test_nothing_posted_tells_an_address_or_a_key(vendor, provider):
    vendor("openai", "http://secret-host.invalid/v1", "sk-secret-key")
    vendor("openai", provider.url, "sk-secret-key")
    tasks.probe()
    told = json.dumps([each.problem for each in posted().values()])
    assert "secret" not in told
