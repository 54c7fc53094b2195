"""A chat request in Ollama's words.

What Ollama has no word for is refused by name where the answer would not be what was asked for
(several choices, log-probabilities, a forced tool), and left out where it would (labels of a stored
answer, hints to caches). Fields that nobody knows are refused, as OpenAI does.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import Raw

from providers.dialects.ollama.messages import told
from providers.dialects.unsupported import unsupported
from providers.wire import OWN_FIELDS, ChatRequest, ModelCall
from providers.wire.chat import CustomTool, FunctionTool, JSONFormat, JSONSchemaFormat
from runestone.lib.errors import BadRequest

Fields = dict[str, Any]

# Ollama's own fields, which a chat request may carry; `options` are of the model: `num_ctx`.
EXTENSIONS = frozenset({"keep_alive", "options"})
# They are options of the model under the same names.
_OPTIONS = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
# The answer is right without them.
_LEFT_OUT = frozenset(
    {"metadata", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
     "safety_identifier", "store", "stream_options", "user", "verbosity"}
)  # fmt: skip
_TRANSLATED = frozenset(
    {"max_completion_tokens", "max_tokens", "messages", "model", "reasoning_effort",
     "response_format", "stop", "stream", "tool_choice", "tools", *_OPTIONS}
)  # fmt: skip
# What says nothing but the default passes, whatever the field.
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "parallel_tool_calls": (True,),
    "service_tier": ("auto", "default"),
}
_CARRIED = OWN_FIELDS | EXTENSIONS | _LEFT_OUT | _TRANSLATED
# Models without levels take any of them for "do think".
_THINK = {
    "none": False, "minimal": "low", "low": "low", "medium": "medium", "high": "high",
    "xhigh": "high", "max": "high",
}  # fmt: skip
_NULL = Raw(b"null")


def chat_fields(call: ModelCall, output_tokens_max: int | None) -> Fields:
    """The request's fields but for `model`. Raises BadRequest."""
    request = cast(ChatRequest, call.request)
    _refuse_what_cannot_be_done(request, call.fields)
    given = _extensions(call.fields)
    fields: Fields = {
        "messages": told(request.messages),
        # Ollama streams unless it is told not to.
        "stream": request.streams,
        "tools": _tools(request),
        "format": _format(request),
        "options": {**given.get("options", {}), **_options(request, output_tokens_max)} or None,
        "think": request.reasoning_effort and _THINK[request.reasoning_effort],
        "keep_alive": given.get("keep_alive"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_what_cannot_be_done(request: ChatRequest, fields: Mapping[str, Raw]) -> None:
    for name, given in fields.items():
        if name in _CARRIED or given == _NULL:
            continue
        is_known = name in ChatRequest.__struct_fields__
        if not is_known or getattr(request, name) not in _DEFAULTS.get(name, ()):
            raise unsupported(name, f"'{name}'")


def _extensions(fields: Mapping[str, Raw]) -> Fields:
    given = {name: msgspec.json.decode(fields[name]) for name in EXTENSIONS & fields.keys()}
    if not isinstance(given.get("options") or {}, dict):
        raise BadRequest(
            "Invalid type for 'options': expected an object.", param="options", code="invalid_type"
        )
    return {name: value for name, value in given.items() if value is not None}


def _options(request: ChatRequest, output_tokens_max: int | None) -> Fields:
    options = {name: getattr(request, name) for name in _OPTIONS}
    options["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    options["num_predict"] = (
        request.output_tokens_asked if output_tokens_max is None else output_tokens_max
    )
    return {name: value for name, value in options.items() if value is not None}


def _tools(request: ChatRequest) -> list[Fields] | None:
    if not request.tools:
        return None
    if request.tool_choice not in (None, "auto", "none"):
        raise unsupported("tool_choice", "a forced tool")
    tools = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(request.tools)]
    return None if request.tool_choice == "none" else tools


def _tool(tool: FunctionTool | CustomTool, path: str) -> Fields:
    if isinstance(tool, CustomTool):
        raise unsupported(f"{path}.type", "a custom tool", "describe it as a function")
    function = {
        "name": tool.function.name,
        "description": tool.function.description or "",
        "parameters": {"type": "object", "properties": {}, **(tool.function.parameters or {})},
    }
    return {"type": "function", "function": function}


def _format(request: ChatRequest) -> str | Fields | None:
    match request.response_format:
        case JSONSchemaFormat(json_schema) if json_schema.schema is not None:
            return json_schema.schema
        case JSONFormat() | JSONSchemaFormat():
            return "json"
        case _:
            return None
