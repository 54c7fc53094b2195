"""The `response` object: what was asked, what came of it, and how it ended."""

import time
from typing import Any
from uuid import UUID

import msgspec

from api.responses.chunks import Chunk
from api.responses.output import COMPLETED, INCOMPLETE
from api.responses.reading import Asked
from api.responses.request import ChooseAllowed, CustomTool, ResponseRequest, Tool, ToolChoice
from providers.wire import UsageFigures
from runestone.lib.errors import GatewayError

PREFIX = "resp_"

# What providers call an answer that was cut short, and why it is incomplete.
_CUT_SHORT = {
    "length": "max_output_tokens",
    "model_length": "max_output_tokens",
    "content_filter": "content_filter",
}
_OWN = ("provider", "routing_policy", "request_id")


def response_id(request_id: UUID) -> str:
    """A response is named after its request: the log, the ledger and it can be put together."""
    return PREFIX + request_id.hex


def response_uuid(name: str) -> UUID | None:
    """The id behind `response_id`'s result; None if it is not one."""
    if not name.startswith(PREFIX):
        return None
    try:
        return UUID(hex=name.removeprefix(PREFIX))
    except ValueError:
        return None


class Answer:
    """Gathers what the chunks say beside the output."""

    def __init__(self, asked: Asked, request_id: UUID) -> None:
        self._asked = asked
        self.id = response_id(request_id)
        self._created_at = int(time.time())
        self._model = asked.request.model or ""
        self._service_tier = asked.request.service_tier
        self._own: dict[str, Any] = {}
        self._usage: UsageFigures | None = None
        self._reason: str | None = None
        self.is_kept = asked.request.is_kept

    def observe(self, chunk: Chunk) -> None:
        self._model = chunk.model or self._model
        self._service_tier = chunk.service_tier or self._service_tier
        self._usage = chunk.usage or self._usage
        self._own |= {name: value for name in _OWN if (value := getattr(chunk, name)) is not None}

    def observe_end(self, finish_reason: str | None) -> None:
        self._reason = _CUT_SHORT.get(finish_reason or "", self._reason)

    @property
    def final_status(self) -> str:
        return COMPLETED if self._reason is None else INCOMPLETE

    def begun(self) -> dict[str, Any]:
        return self._object("in_progress", [])

    def finished(self, output: list[dict[str, Any]]) -> dict[str, Any]:
        made = self._object(self.final_status, output)
        made["usage"] = _usage(self._usage)
        if self._reason is None:
            made["completed_at"] = int(time.time())
        else:
            made["incomplete_details"] = {"reason": self._reason}
        return made

    def failed(self, output: list[dict[str, Any]], error: GatewayError) -> dict[str, Any]:
        made = self._object("failed", output)
        # OpenAI's list of codes is closed, and the SDK's types know no other.
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        made["error"] = {"code": code, "message": error.message}
        return made

    def _object(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        request = self._asked.request
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created_at,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "max_tool_calls": request.max_tool_calls,
            "model": self._model,
            "output": output,
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "prompt_cache_key": request.prompt_cache_key,
            "reasoning": _reasoning(request),
            "safety_identifier": request.safety_identifier,
            "service_tier": self._service_tier,
            "store": self.is_kept,
            # Null where the caller left it to the model: vendors' defaults differ.
            "temperature": request.temperature,
            "text": _text(request),
            "tool_choice": _choice(self._asked.tool_choice),
            "tools": [_tool(tool) for tool in self._asked.tools],
            "top_logprobs": request.top_logprobs or 0,
            "top_p": request.top_p,
            # A chat provider cannot truncate, whatever was asked.
            "truncation": "disabled",
            "usage": None,
            "user": request.user,
            "metadata": request.metadata or {},
            **self._own,
        }


def _usage(figures: UsageFigures | None) -> dict[str, Any] | None:
    if figures is None or figures.prompt_tokens is None:
        return None
    read, written = figures.prompt_tokens, figures.completion_tokens or 0
    prompt, completion = figures.prompt_tokens_details, figures.completion_tokens_details
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": (prompt and prompt.cached_tokens) or 0,
            "cache_write_tokens": (prompt and prompt.cache_write_tokens) or 0,
        },
        "output_tokens": written,
        "output_tokens_details": {
            "reasoning_tokens": (completion and completion.reasoning_tokens) or 0
        },
        "total_tokens": read + written,
    }


def _reasoning(request: ResponseRequest) -> dict[str, Any]:
    asked = request.reasoning
    # No summary is made, so none is promised.
    return {"effort": asked.effort if asked is not None else None, "summary": None}


def _text(request: ResponseRequest) -> dict[str, Any]:
    asked = request.text
    form = asked.format if asked is not None else None
    return {
        "format": {"type": "text"} if form is None else msgspec.to_builtins(form),
        "verbosity": asked.verbosity if asked is not None else None,
    }


def _choice(choice: ToolChoice | None) -> Any:
    if isinstance(choice, ChooseAllowed):
        tools = [msgspec.json.decode(raw) for raw in choice.tools]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
    return "auto" if choice is None else msgspec.to_builtins(choice)


def _tool(tool: Tool) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(tool)
    if isinstance(tool, CustomTool):
        made.setdefault("format", {"type": "text"})
    return made
