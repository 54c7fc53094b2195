"""Anthropic's own API: POST /v1/messages.

A request is read as the chat that it stands for and answered as the mock answers any chat; only the
words are others. As strict as the original where a gateway could err: fields that it does not know,
a version that is not named, and thoughts that come back with another signature are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

from runestone.local.mock_provider.answers import Answer, answers, prompt_tokens
from runestone.local.mock_provider.anthropic_replies import WIRE, signature
from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.chat import fail_before_work
from runestone.local.mock_provider.errors import ProviderError
from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.replies import Task, encode
from runestone.local.mock_provider.requests import ChatRequest, Message, StreamOptions
from runestone.local.mock_provider.scenarios import NORMAL, Scenario
from runestone.local.mock_provider.work import Work

PATH = "/v1/messages"
# Of each image, whatever its size.
IMAGE_TOKENS = 100
# Hidden in an answer to a call that asks for thinking, if the scenario says nothing else.
THINKING_TOKENS = 8

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Block(msgspec.Struct):
    """A block of content; of a tool's result, the content is in it."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    content: str | list[Block] | None = None


Content = str | list[Block]


class Turn(msgspec.Struct):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: Content


class ToolSpec(msgspec.Struct):
    """A tool."""

    name: str
    input_schema: dict[str, Any]


class Choice(msgspec.Struct, frozen=True):
    """How to choose among the tools."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""


class Thinking(msgspec.Struct, frozen=True):
    """Whether to think."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Annotated[int, Meta(ge=1024)] | None = None


class MessagesRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/messages."""

    model: str
    max_tokens: Annotated[int, Meta(ge=1)]
    messages: Annotated[list[Turn], Meta(min_length=1)]
    system: Content = ""
    stream: bool = False
    stop_sequences: list[str] = []
    temperature: Annotated[float, Meta(ge=0, le=1)] = 1
    top_p: float = 1
    top_k: int | None = None
    tools: list[ToolSpec] = []
    tool_choice: Choice = Choice("auto")
    thinking: Thinking = Thinking("disabled")
    output_config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    cache_control: dict[str, Any] | None = None


_request = msgspec.json.Decoder(MessagesRequest)


async def messages(exchange: Exchange, provider: Provider) -> None:
    """Read, decide, fail if so asked, else answer."""
    exchange.marks = [(b"request-id", exchange.request_id.encode())]
    if exchange.header(b"anthropic-version") is None:
        raise ProviderError(400, "anthropic-version: header is required")
    body = await exchange.body()
    request = _decoded(body)
    scenario = provider.scenario(exchange, request.model)
    if scenario is not NORMAL:
        exchange.deaf = scenario.deaf
        if await fail_before_work(exchange, scenario, request.model):
            return
    if request.thinking.type != "disabled" and not scenario.reasoning:
        scenario = msgspec.structs.replace(scenario, reasoning=THINKING_TOKENS)
    asked = _as_chat(request)
    prompt = prompt_tokens(asked) + IMAGE_TOKENS * _images(request)
    if scenario.mirror:
        asked.messages.append(Message("user", body.decode()))
    made = answers(asked, scenario)
    work = Work(exchange, provider, _task(request, prompt, made), scenario)
    _write(work.line, scenario)
    await work.run()


def _write(line: Line, scenario: Scenario) -> None:
    """Of what did not come from the cache, some is written to it."""
    fresh = line.prompt_tokens - line.cached_tokens
    line.written_tokens = min(scenario.written, fresh)
    line.written_1h_tokens = min(scenario.written_1h, fresh - line.written_tokens)


def faced(error: ProviderError, exchange: Exchange) -> ProviderError:
    """The same error with Anthropic's face."""
    kind = TYPES.get(error.status, "api_error")
    message = "invalid x-api-key" if error.status == 401 else str(error)
    return MessagesError(error, {"type": kind, "message": message}, exchange.request_id)


class MessagesError(ProviderError):
    """An error in Anthropic's shape."""

    def __init__(self, error: ProviderError, face: dict[str, str], request_id: str) -> None:
        super().__init__(error.status, str(error), headers=error.headers)
        self.error = face
        self.request_id = request_id

    @property
    def body(self) -> bytes:
        """The JSON body, as Anthropic words it."""
        return encode({"type": "error", "error": self.error, "request_id": self.request_id})


# Requests.


def _decoded(body: bytes) -> MessagesRequest:
    try:
        request = _request.decode(body)
    except msgspec.ValidationError as slip:
        raise ProviderError(400, str(slip)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProviderError(400, "The request body is not valid JSON") from None
    for turn in request.messages:
        for block in _blocks(turn.content):
            if block.type == "thinking" and block.signature != signature(block.thinking):
                raise ProviderError(400, "messages: Invalid `signature` in `thinking` block")
    budget = request.thinking.budget_tokens
    if budget is not None and budget >= request.max_tokens:
        raise ProviderError(400, "`max_tokens` must be greater than `thinking.budget_tokens`")
    return request


def _as_chat(request: MessagesRequest) -> ChatRequest:
    told = [Message("system", _text(request.system))]
    for turn in request.messages:
        results = [block for block in _blocks(turn.content) if block.type == "tool_result"]
        told += [Message("tool", _text(block.content or "")) for block in results]
        if len(results) < len(_blocks(turn.content)) or not results:
            told.append(Message(turn.role, _text(turn.content)))
    return ChatRequest(
        request.model,
        told,
        max_tokens=request.max_tokens,
        stop=request.stop_sequences,
        tools=Raw(encode([_function(tool) for tool in request.tools])),
        tool_choice=Raw(encode(_choice(request.tool_choice))),
    )


def _blocks(content: Content) -> list[Block]:
    return [Block("text", content)] if isinstance(content, str) else content


def _text(content: Content) -> str:
    return " ".join(block.text for block in _blocks(content) if block.text)


def _images(request: MessagesRequest) -> int:
    blocks = [block for turn in request.messages for block in _blocks(turn.content)]
    within = [each for block in blocks for each in _blocks(block.content or "")]
    return sum(block.type == "image" for block in blocks + within)


def _function(tool: ToolSpec) -> dict[str, Any]:
    return {"type": "function", "function": {"name": tool.name, "parameters": tool.input_schema}}


def _choice(choice: Choice) -> Any:
    if choice.type == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return "required" if choice.type == "any" else choice.type


def _task(request: MessagesRequest, prompt: int, made: list[Answer]) -> Task:
    if request.tool_choice.type == "none":
        made = [msgspec.structs.replace(each, calls=[]) for each in made]
    # Usage is always told, and nothing is padded.
    options = StreamOptions(include_usage=True, include_obfuscation=False)
    return Task(WIRE, request.model, prompt, made, request.stream, options)
