"""Whether this gateway lives, and whether it can serve.

/health             everything in one answer, for people
/health/live        the process runs: restart it if this fails
/health/ready       database, cache and a worker answer: send traffic only while this is 200
/health/providers   how the providers do: their breakers, the last probes, traffic of late
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.response import Response

from api import gateway
from api.gateway import Gateway
from api.tasks import HEARTBEAT_KEY
from api.views import AsyncAPIView
from providers.board import Figures
from providers.breakers import Breakers, BreakerState

CHECK_SECONDS_MAX = 2.0


class Live(AsyncAPIView):
    async def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class Ready(AsyncAPIView):
    async def get(self, request: Request) -> Response:
        report = await check_all()
        return Response(report, status=200 if report["status"] == "ok" else 503)


class Health(AsyncAPIView):
    async def get(self, request: Request) -> Response:
        report = await check_all()
        report["version"] = settings.VERSION
        if settings.RUNESTONE_ANONYMOUS_TENANT:
            report["authentication"] = "off: calls without a key are served"
        return Response(report, status=200 if report["status"] == "ok" else 503)


class Providers(AsyncAPIView):
    async def get(self, request: Request) -> Response:
        report = await providers_report(await gateway.current())
        return Response(report, status=503 if report["status"] == "unavailable" else 200)


async def check_all() -> dict[str, Any]:
    """`{"status": "ok" | "unavailable", "checks": {name: "ok" | what is wrong}}`"""
    names = list(_CHECKS)
    results = await asyncio.gather(*(_checked(_CHECKS[name]) for name in names))
    checks = dict(zip(names, results, strict=True))
    healthy = all(result == "ok" for result in results)
    return {"status": "ok" if healthy else "unavailable", "checks": checks}


async def providers_report(running: Gateway) -> dict[str, Any]:
    """`{"status": "ok" | "degraded" | "unavailable", "providers": {slug: …}}`

    Of all processes' traffic, if Redis is there. Anybody may read it, so it names no address.
    """
    figures = await running.health.figures_of_all()
    slugs = {target.upstream for model in running.catalog.models() for target in model.targets}
    providers = {
        slug: _provider(running.breakers, slug, figures.get(slug, Figures()))
        for slug in sorted(slugs)
    }
    return {"status": _status_of(list(providers.values())), "providers": providers}


def _provider(breakers: Breakers, slug: str, figures: Figures) -> dict[str, Any]:
    probe = breakers.probe(slug)
    latency = figures.first_byte_seconds / figures.first_bytes if figures.first_bytes else None
    return {
        "state": breakers.state(slug),
        "open_for_seconds": round(breakers.seconds_until_trial(slug), 1),
        "up": probe and probe.up,
        "probed": probe and datetime.fromtimestamp(probe.at, UTC).isoformat(timespec="seconds"),
        "problem": (probe and probe.problem) or None,
        "calls": figures.calls,
        "error_rate": round(figures.failures / figures.calls, 4) if figures.calls else None,
        "latency_ms": None if latency is None else round(latency * 1_000, 1),
    }


def _status_of(providers: list[dict[str, Any]]) -> str:
    if providers and all(each["state"] is BreakerState.OPEN for each in providers):
        return "unavailable"
    healthy = all(
        each["state"] is BreakerState.CLOSED and each["up"] is not False and not each["problem"]
        for each in providers
    )
    return "ok" if healthy else "degraded"


async def _checked(check: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS_MAX:g} s"
    except Exception as error:  # noqa: BLE001 -- whatever is wrong, health is there to say so
        return f"failed: {type(error).__name__}"


async def _database() -> str:
    await (await gateway.current()).check()
    return "ok"


async def _cache() -> str:
    await sync_to_async(cache.get, thread_sensitive=False)("runestone:health")
    return "ok"


async def _worker() -> str:
    beat = await sync_to_async(cache.get, thread_sensitive=False)(HEARTBEAT_KEY)
    return "ok" if beat else "no worker has reported lately"


_CHECKS = {"database": _database, "cache": _cache, "worker": _worker}
