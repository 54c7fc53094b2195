"""A chat request as the Messages request that it stands for.

What Anthropic's wire has no word for is refused by name where the answer would not be what was
asked for (several choices, log-probabilities, penalties, a seed), and left out where it would
(hints to caches, labels of a stored answer). Fields that nobody knows are refused, as OpenAI does.
Source: Anthropic's API reference and SDK 2.11 (2026-11).
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

from msgspec import Raw

from providers.dialects.anthropic.thinking import effort_fields
from providers.dialects.anthropic.tools import tool_fields
from providers.dialects.anthropic.turns import conversation
from providers.dialects.unsupported import unsupported
from providers.wire import OWN_FIELDS, ChatRequest, ModelCall
from providers.wire.chat import JSONFormat, JSONSchemaFormat

Fields = dict[str, Any]

# Anthropic's own fields, which a chat request may carry as they are.
EXTENSIONS = ("thinking", "top_k", "cache_control")
# The answer is right without them.
_LEFT_OUT = frozenset(
    {"metadata", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
     "store", "verbosity"}
)  # fmt: skip
_TRANSLATED = frozenset(
    {"max_completion_tokens", "max_tokens", "messages", "model", "parallel_tool_calls",
     "reasoning_effort", "response_format", "safety_identifier", "service_tier", "stop", "stream",
     "stream_options", "temperature", "tool_choice", "tools", "top_p", "user"}
)  # fmt: skip
# What says nothing but the default passes, whatever the field.
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
}
_CARRIED = OWN_FIELDS | _TRANSLATED | _LEFT_OUT | frozenset(EXTENSIONS)
_NULL = Raw(b"null")

_TEMPERATURE_MAX = 1.0
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only"}


def message_fields(call: ModelCall, model: str, max_tokens: int) -> Fields:
    """A chat call's fields but for `model`, `max_tokens` and `stream`. Raises BadRequest."""
    request = cast(ChatRequest, call.request)
    _refuse_what_cannot_be_done(request, call.fields)
    system, turns = conversation(request.messages)
    fields: Fields = {
        "system": system or None,
        "messages": turns,
        **tool_fields(request),
        "stop_sequences": _stop_sequences(request.stop),
        "temperature": request.temperature and min(request.temperature, _TEMPERATURE_MAX),
        "top_p": request.top_p,
        "metadata": _metadata(request),
        "service_tier": _service_tier(request.service_tier),
    }
    if request.reasoning_effort is not None:
        fields |= effort_fields(request.reasoning_effort, model, max_tokens)
    if (schema := _schema(request)) is not None:
        output_config = fields.get("output_config", {})
        fields["output_config"] = output_config | {
            "format": {"type": "json_schema", "schema": schema}
        }
    fields |= {name: call.fields[name] for name in EXTENSIONS if name in call.fields}
    return {name: value for name, value in fields.items() if value not in (None, _NULL)}


def _refuse_what_cannot_be_done(request: ChatRequest, fields: Mapping[str, Raw]) -> None:
    for name, given in fields.items():
        if name in _CARRIED or given == _NULL:
            continue
        is_known = name in ChatRequest.__struct_fields__
        if not is_known or getattr(request, name) not in _DEFAULTS.get(name, ()):
            raise unsupported(name, f"'{name}'")


def _stop_sequences(stop: str | list[str] | None) -> list[str] | None:
    if stop is None:
        return None
    sequences = [stop] if isinstance(stop, str) else stop
    for sequence in sequences:
        if not sequence.strip():
            # Without it the model would not stop where it was told to.
            raise unsupported("stop", "a sequence of white space")
    return sequences


def _metadata(request: ChatRequest) -> Fields | None:
    """A provider has to tell users apart, not to know them."""
    user = request.safety_identifier or request.user
    return {"user_id": sha256(user.encode()).hexdigest()} if user else None


def _service_tier(tier: str | None) -> str | None:
    if tier is None:
        return None
    if tier not in _SERVICE_TIERS:
        raise unsupported("service_tier", f"the service tier '{tier}'")
    return _SERVICE_TIERS[tier]


def _schema(request: ChatRequest) -> Fields | None:
    match request.response_format:
        case JSONFormat():
            raise unsupported(
                "response_format.type", "'json_object'", "ask for 'json_schema' with a schema"
            )
        case JSONSchemaFormat(json_schema):
            if json_schema.schema is None:
                raise unsupported("response_format.json_schema", "a form without a schema")
            return json_schema.schema
        case _:
            return None
