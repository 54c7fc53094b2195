"""The doors of `/v1/responses`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api import gateway
from api.consumers import StreamConsumer
from api.requests import Call
from api.responses import pages, relay
from api.responses.refused import unsupported
from api.views import AsyncAPIView, call_of
from runestone.lib.errors import BadRequest, GatewayError


class ResponsesView(AsyncAPIView):
    async def post(self, request: Request) -> bytes:
        runestone = await gateway.current()
        return await runestone.responses.create(call_of(request))


class ResponseStream(StreamConsumer):
    async def events(self, call: Call) -> AsyncGenerator[bytes, None]:
        runestone = await gateway.current()
        async with aclosing(runestone.responses.stream(call)) as events:
            async for event in events:
                yield event

    def error_event(self, failure: GatewayError) -> bytes:
        return relay.refusal(failure)


class ResponseDetail(AsyncAPIView):
    async def get(self, request: Request, name: str) -> Response:
        if request.query_params.get("stream", "false").lower() == "true":
            raise unsupported("stream", "A response is streamed once, while it is made.")
        runestone = await gateway.current()
        return Response(await runestone.responses.retrieve(call_of(request), name))

    async def delete(self, request: Request, name: str) -> Response:
        runestone = await gateway.current()
        await runestone.responses.delete(call_of(request), name)
        return Response({"id": name, "object": "response", "deleted": True})


class ResponseCancel(AsyncAPIView):
    """Only background responses can be cancelled, and there are none; OpenAI says it like this."""

    async def post(self, request: Request, name: str) -> Response:
        runestone = await gateway.current()
        await runestone.responses.retrieve(call_of(request), name)
        raise BadRequest("Cannot cancel a synchronous response.")


class InputItems(AsyncAPIView):
    async def get(self, request: Request, name: str) -> Response:
        page = pages.read(request.query_params)
        runestone = await gateway.current()
        items = await runestone.responses.input_items(call_of(request), name)
        made: dict[str, Any] = page.of(items)
        return Response(made)
