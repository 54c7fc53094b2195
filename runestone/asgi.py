"""The ASGI application: the data plane by its own router, everything else by Django.

uvicorn runestone.asgi:application
"""

import gc
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runestone.settings")

from django.core.asgi import get_asgi_application

control_plane = get_asgi_application()

# After Django is set up, since these import its models.
from api import gateway, proxies  # noqa: E402
from api.routes import PREFIXES, data_plane  # noqa: E402

# Objects made and not yet freed between two looks for cycles; Python's own is 700.
GC_THRESHOLD = 50_000


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    proxies.look_through(scope)
    if scope["type"] == "http" and scope["path"].startswith(PREFIXES):
        await data_plane(scope, receive, send)
    else:
        await control_plane(scope, receive, send)


def _spare_the_garbage_collector() -> None:
    """What is loaded by now stays for good: looking at it again and again cost a fifth of the CPU.

    Calls leave next to no cycles behind, so the young generation may grow larger, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


async def _lifespan(receive: Any, send: Any) -> None:
    """Starts the gateway before the first call, and settles what is open after the last."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await gateway.current()
            _spare_the_garbage_collector()
            await send({"type": "lifespan.startup.complete"})
        else:
            await gateway.stop_current()
            await send({"type": "lifespan.shutdown.complete"})
            return
