"""How upstreams do, on their list and on their pages: known from Redis, or not at all."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from providers.board import Board, Figures, Probe, Verdict
from providers.breaker import BreakerState
from providers.models import Alias, Upstream
from providers.standings import LOOK_SECONDS_MAX, look
from runestone.lib.redis import connect
from tests.admin.conftest import MODEL, UPSTREAM, House

LIST = "/admin/providers/upstream/"
OPENED = Verdict(by="gw-1", is_closed=False, trips=1, seconds=30.0)
CLOSED = Verdict(by="gw-1", is_closed=True, trips=1, seconds=0.0)
# Longer than any page takes that does not wait.
SECONDS_MAX = 4 * LOOK_SECONDS_MAX


def post(verdict: Verdict | None = None, probe: Probe | None = None, *figures: Figures) -> None:
    """As gateways and the prober would; `figures` are one process's each."""

    async def posted() -> None:
        async with connect(settings.REDIS_URL) as redis:
            await Board(redis).exchange({UPSTREAM: verdict} if verdict else {}, (), ())
            if probe:
                await Board(redis).post_probes({UPSTREAM: probe})
            for number, each in enumerate(figures):
                await Board(redis, f"gw-{number}").post_figures({UPSTREAM: each})

    asyncio.run(posted())


@pytest.fixture
def board() -> Iterator[None]:
    """Nothing on it, before and after."""

    async def wiped() -> None:
        async with connect(settings.REDIS_URL) as redis:
            async for key in redis.scan_iter("runestone:{upstreams}:*"):
                await redis.delete(key)

    asyncio.run(wiped())
    yield
    asyncio.run(wiped())


@pytest.fixture
def no_redis(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"


def page(upstream: Upstream) -> str:
    return f"{LIST}{upstream.pk}/change/"


def row(desk: Client) -> dict[str, Any]:
    changelist = desk.get(LIST).context["cl"]
    [upstream] = changelist.result_list
    columns = ("breaker", "probe", "traffic")
    return {name: getattr(changelist.model_admin, name)(upstream) for name in columns}


def test_it_shows_what_gateways_and_probes_found(desk: Client, house: House, board: None):
    down = Probe(up=False, at=time.time(), problem="it fails (HTTP 503)", failures=3)
    post(OPENED, down, Figures(6, 2, 4, 1.0), Figures(2, 2, 0, 0.0))
    told = row(desk)
    assert "open" in told["breaker"]
    assert "tried in 30 s" in told["breaker"]
    assert "it fails (HTTP 503), 3 times in a row" in told["probe"]
    assert ">8<small" in told["traffic"]
    assert '<span class="rs-bad">50 % failed</span>, 250 ms' in told["traffic"]
    text = desk.get(page(house.upstream)).content.decode()
    for words in ("tried in 30 s", "it fails (HTTP 503)", "50 %", "4 of 8", "250 ms"):
        assert words in text


def test_all_is_well_until_something_is_known(desk: Client, house: House, board: None):
    told = row(desk)
    assert "closed" in told["breaker"]
    assert told["probe"] == "-"
    assert ">0<" in told["traffic"]
    assert "calls go through" in desk.get(page(house.upstream)).content.decode()


GOOD = Probe(up=True, at=0.0)
REJECTED = Probe(up=True, at=0.0, problem="it rejects our credential (HTTP 401)")


@pytest.mark.parametrize(
    ("verdict", "probe", "seconds", "state"),
    [
        (CLOSED, None, 0, BreakerState.CLOSED),
        (OPENED, None, 0, BreakerState.OPEN),
        (OPENED, GOOD, -60, BreakerState.OPEN),
        (OPENED, GOOD, 60, BreakerState.HALF_OPEN),
        (OPENED, REJECTED, 60, BreakerState.OPEN),
        (Verdict(by="gw-1", is_closed=False, trips=1, seconds=0.0), None, 0, "half_open"),
    ],
    ids=["closed", "open", "good_before", "good_after", "rejected_after", "its_time_is_over"],
)
def test_states(
    board: None, verdict: Verdict, probe: Probe | None, seconds: float, state: BreakerState
):
    """`seconds`: when the probe was, as seen from the verdict."""
    asked = probe and Probe(up=probe.up, at=time.time() + seconds, problem=probe.problem)
    post(verdict, asked)
    assert look([UPSTREAM])[UPSTREAM].state == state


def test_a_credential_that_is_refused_shows(desk: Client, house: House, board: None):
    post(None, Probe(up=True, at=time.time(), problem="it rejects our credential (HTTP 401)"))
    assert "refused" in row(desk)["probe"]
    assert "it rejects our credential" in desk.get(page(house.upstream)).content.decode()


def test_of_a_disabled_one_nothing_is_known(desk: Client, house: House, board: None):
    Upstream.objects.update(enabled=False)
    post(OPENED, None, Figures(1, 1, 0, 0.0))
    told = row(desk)
    assert (told["breaker"], told["probe"]) == ("-", "-")
    assert ">-<" in told["traffic"]
    figures = desk.get(page(house.upstream)).context["standing"]
    assert [figure["value"] for figure in figures] == ["-"] * 5


def test_without_redis_there_are_dashes(desk: Client, house: House, no_redis: None):
    for url in (LIST, page(house.upstream)):
        began = time.monotonic()
        response = desk.get(url)
        assert time.monotonic() - began < SECONDS_MAX
        assert response.status_code == 200
        assert "Redis does not answer" in response.content.decode()
    told = row(desk)
    assert (told["breaker"], told["probe"]) == ("-", "-")
    assert ">-<" in told["traffic"]


def test_a_redis_that_never_answers_is_not_waited_for(settings: Any):
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def seconds() -> float:
        async with await asyncio.start_server(listen, "127.0.0.1", 0) as silent:
            host, port = silent.sockets[0].getsockname()
            settings.REDIS_URL = f"redis://{host}:{port}"
            began = time.monotonic()
            assert await asyncio.to_thread(look, [UPSTREAM]) == {}
            return time.monotonic() - began

    assert LOOK_SECONDS_MAX / 2 < asyncio.run(seconds()) < SECONDS_MAX


# Names.


def test_aliases_are_on_the_list_and_on_the_upstreams_page(desk: Client, house: House):
    Alias.objects.create(name="best", model=house.model)
    for url in ("/admin/providers/model/", page(house.upstream)):
        assert '<span class="rs-chip">best</span>' in desk.get(url).content.decode()


def test_the_list_of_models_takes_no_query_for_each(
    desk: Client, house: House, django_assert_max_num_queries: Any
):
    for number in range(10):
        Alias.objects.create(name=f"alias-{number}", model=house.model)
    with django_assert_max_num_queries(10):
        assert MODEL in desk.get("/admin/providers/model/").content.decode()


def test_a_route_is_still_saved_from_the_upstreams_page(house: House, submit: Any):
    assert submit(page(house.upstream), **{"routes-0-priority": 7}).status_code == 302
    assert house.upstream.routes.get().priority == 7


def test_a_tenants_policies_are_told_in_words(desk: Client, house: House, submit: Any):
    url = f"/admin/tenants/tenant/{house.tenant.pk}/change/"
    text = desk.get(url).content.decode()
    assert "as this installation does" in text
    assert "cost: what this very call will cost least with" in text
    assert submit(url, routing_policy="cost").status_code == 302
    house.tenant.refresh_from_db()
    assert house.tenant.routing_policy == "cost"
