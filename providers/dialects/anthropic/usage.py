"""Anthropic's figures as `Usage`, and as the usage object of a chat completion."""

from typing import Any

import msgspec

from providers.dialects.anthropic.wire import (
    CacheCreation,
    OutputTokensDetails,
    ServerToolUse,
    UsageFigures,
)
from runestone.lib.usage import Usage, UsageSource

# What Anthropic calls the tier that has no price of its own.
_STANDARD_TIERS = (None, "standard")


def read_usage(
    figures: UsageFigures | None, source: UsageSource = UsageSource.REPORTED
) -> Usage | None:
    """None if there are none, or none that can be true.

    Anthropic counts beside the input what its cache read or wrote; ours is the sum of them.
    """
    if figures is None or figures.input_tokens is None:
        return None
    cached = figures.cache_read_input_tokens or 0
    creation = figures.cache_creation or CacheCreation()
    for_an_hour = creation.ephemeral_1h_input_tokens or 0
    written = figures.cache_creation_input_tokens
    if written is None:
        written = (creation.ephemeral_5m_input_tokens or 0) + for_an_hour
    tier = figures.service_tier
    usage = {
        "input_tokens": figures.input_tokens + cached + written,
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": for_an_hour,
        "output_tokens": figures.output_tokens or 0,
        "reasoning_tokens": (figures.output_tokens_details or _NO_DETAILS).thinking_tokens or 0,
        "web_searches": (figures.server_tool_use or _NO_SEARCHES).web_search_requests or 0,
        "service_tier": "" if tier in _STANDARD_TIERS else tier,
        "source": source,
    }
    try:
        return msgspec.convert(usage, Usage)
    except msgspec.ValidationError:
        return None


_NO_DETAILS = OutputTokensDetails()
_NO_SEARCHES = ServerToolUse()


def updated(figures: UsageFigures, later: UsageFigures) -> UsageFigures:
    """A stream's figures are cumulative, and those at its end may leave out some."""
    return UsageFigures(
        **{
            name: getattr(figures, name) if getattr(later, name) is None else getattr(later, name)
            for name in UsageFigures.__struct_fields__
        }
    )


def usage_object(usage: Usage) -> dict[str, Any]:
    """`cache_write_1h_tokens`, an extension, are those of `cache_write_tokens` kept for an hour."""
    prompt_details = {
        "cached_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
    if usage.cache_write_1h_tokens:
        prompt_details["cache_write_1h_tokens"] = usage.cache_write_1h_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
