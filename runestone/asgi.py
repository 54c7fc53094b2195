"""The ASGI application: the data plane by its own router, everything else by Django.

uvicorn runestone.asgi:application
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runestone.settings")

from django.core.asgi import get_asgi_application

control_plane = get_asgi_application()

# After Django is set up, since these import its models.
from api import gateway  # noqa: E402
from api.routes import PREFIXES, data_plane  # noqa: E402


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(PREFIXES):
        await data_plane(scope, receive, send)
    else:
        await control_plane(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    """Starts the gateway before the first call, and settles what is open after the last."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await gateway.current()
            await send({"type": "lifespan.startup.complete"})
        else:
            await gateway.stop_current()
            await send({"type": "lifespan.shutdown.complete"})
            return
