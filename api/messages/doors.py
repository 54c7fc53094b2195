"""The two endpoints: views for JSON, a consumer for streams."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from rest_framework.request import Request
from rest_framework.response import Response

from api import gateway
from api.consumers import StreamConsumer
from api.messages import answers, chat, counting, errors
from api.messages.streams import MessageStream, event
from api.messages.wire import CountTokensRequest, MessagesRequest
from api.pipeline import Pipeline
from api.requests import Call
from api.views import AsyncAPIView, call_of
from providers.wire import ModelCall, Operation
from runestone.lib.errors import GatewayError
from runestone.lib.ids import request_name


class MessagesView(AsyncAPIView):
    def get_exception_handler(self) -> Any:
        return errors.drf_handler


class Messages(MessagesView):
    async def post(self, request: Request) -> Response:
        pipeline, call = (await gateway.current()).pipeline, call_of(request)
        asked, twin = await _translated(pipeline, call)
        try:
            body = await pipeline.complete(twin)
        finally:
            call.provider = twin.provider
        return _answered(call, answers.message(body, asked, _message_id(call)))


class CountTokens(MessagesView):
    """An estimate, which costs nothing: no provider is asked."""

    async def post(self, request: Request) -> Response:
        pipeline, call = (await gateway.current()).pipeline, call_of(request)
        decoded = await _decoded(pipeline, call, chat.COUNT_TOKENS)
        asked = cast(CountTokensRequest, decoded.request)
        await pipeline.model(call, asked.model)
        return _answered(call, {"input_tokens": counting.estimated(asked)})


class MessagesStream(StreamConsumer):
    async def events(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Up to its first event an error is a refusal, and then an event of its own."""
        began = False
        try:
            async with aclosing(_events(call)) as told:
                async for data in told:
                    began = True
                    yield data
        except Exception as error:
            failure = errors.faced(error, call)
            if not began:
                raise failure from error
            yield event(failure.body())

    def error_event(self, failure: GatewayError) -> bytes:
        return event(failure.body())

    async def send_headers(self, *, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        named = {**dict(headers), **_request_id(call=self.scope["call"])}
        await super().send_headers(status=status, headers=list(named.items()))


async def _events(call: Call) -> AsyncGenerator[bytes, None]:
    pipeline = (await gateway.current()).pipeline
    asked, twin = await _translated(pipeline, call)
    translation = MessageStream(asked, _message_id(call))
    async with aclosing(pipeline.stream(twin)) as chunks:
        try:
            async for chunk in chunks:
                call.provider = twin.provider
                if data := translation.feed(chunk):
                    yield data
        finally:
            call.provider = twin.provider
    if data := translation.finish():
        yield data


async def _translated(pipeline: Pipeline, call: Call) -> tuple[MessagesRequest, Call]:
    decoded = await _decoded(pipeline, call, chat.MESSAGES)
    asked = cast(MessagesRequest, decoded.request)
    native = chat.native_fields(decoded.fields)
    return asked, call.translated(chat.chat_body(asked, decoded.fields), native)


async def _decoded(pipeline: Pipeline, call: Call, operation: Operation) -> ModelCall:
    try:
        return chat.decoded(call, operation)
    except GatewayError:
        # A stranger hears that it is one before it hears what is wrong with its body.
        await pipeline.admit(call)
        raise


def _message_id(call: Call) -> str:
    return f"msg_{call.request_id.hex}"


def _request_id(call: Call) -> dict[bytes, bytes]:
    return {errors.REQUEST_ID.encode(): request_name(call.request_id).encode()}


def _answered(call: Call, fields: dict[str, Any]) -> Response:
    return Response(fields, headers={errors.REQUEST_ID: request_name(call.request_id)})
