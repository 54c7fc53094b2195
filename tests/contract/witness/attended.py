"""An ASGI application in the presence of a witness."""

from typing import Any

from tests.contract.witness.record import Reply, Witness


class Attended:
    """Answers as the application does; the witness sees what it answers below `/v1`."""

    def __init__(self, application: Any, witness: Witness) -> None:
        self._application = application
        self._witness = witness

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await self._attend(scope, receive, send)
            return
        await self._application(scope, receive, send)
        if scope["type"] == "lifespan":
            self._witness.close()

    async def _attend(self, scope: Any, receive: Any, send: Any) -> None:
        reply = Reply(self._witness.test(), scope["method"], scope["path"])

        async def see_and_send(message: Any) -> None:
            reply.observe(message)
            await send(message)

        try:
            await self._application(scope, receive, see_and_send)
        finally:
            self._witness.take(reply)
