"""Whether this gateway lives, and whether it can serve.

/health         everything in one answer, for people
/health/live    the process runs: restart it if this fails
/health/ready   database, cache and a worker answer: send traffic only while this is 200
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.response import Response

from api import gateway
from api.tasks import HEARTBEAT_KEY
from api.views import AsyncAPIView

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


async def check_all() -> dict[str, Any]:
    """`{"status": "ok" | "unavailable", "checks": {name: "ok" | what is wrong}}`"""
    names = list(_CHECKS)
    results = await asyncio.gather(*(_checked(_CHECKS[name]) for name in names))
    checks = dict(zip(names, results, strict=True))
    healthy = all(result == "ok" for result in results)
    return {"status": "ok" if healthy else "unavailable", "checks": checks}


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
