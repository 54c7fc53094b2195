"""What a call used, in the units providers bill: integers, and how each number was got."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import msgspec

# Larger figures than any call can have are a provider's mistake, and would not fit a ledger line.
Quantity = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Tier = Annotated[str, msgspec.Meta(max_length=16)]
# The service tier that has no name of its own.
STANDARD = ""


class UsageSource(StrEnum):
    """How the quantities were got; it stands on the ledger line."""

    REPORTED = "reported"  # the provider's own figures
    COUNTED = "counted"  # the provider gave none: counted from what passed through us
    NONE = "none"  # nothing was produced, so nothing was used


class Component(StrEnum):
    """The kinds of quantity that can carry a price of their own."""

    INPUT = "input"
    CACHED_INPUT = "cached_input"
    CACHE_WRITE = "cache_write"
    CACHE_WRITE_1H = "cache_write_1h"
    OUTPUT = "output"
    REASONING = "reasoning"
    INPUT_AUDIO = "input_audio"
    OUTPUT_AUDIO = "output_audio"
    REQUEST = "request"
    WEB_SEARCH = "web_search"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one attempt, totals as OpenAI and OpenTelemetry count them.

    `input_tokens` includes cached, cache-write and audio tokens; `cache_write_tokens` includes
    those written for an hour; `output_tokens` includes reasoning and audio tokens. `components()`
    splits the totals into disjoint priced quantities, so that no token is ever charged twice.
    `service_tier` is the one that served the call, empty for the standard one: it has prices of
    its own.
    """

    input_tokens: Quantity = 0
    cached_input_tokens: Quantity = 0
    cache_write_tokens: Quantity = 0
    cache_write_1h_tokens: Quantity = 0
    input_audio_tokens: Quantity = 0
    output_tokens: Quantity = 0
    reasoning_tokens: Quantity = 0
    output_audio_tokens: Quantity = 0
    web_searches: Quantity = 0
    service_tier: Tier = STANDARD
    source: UsageSource = UsageSource.REPORTED

    def __post_init__(self) -> None:
        parts_in = self.cached_input_tokens + self.cache_write_tokens + self.input_audio_tokens
        parts_out = self.reasoning_tokens + self.output_audio_tokens
        if (
            parts_in > self.input_tokens
            or parts_out > self.output_tokens
            or self.cache_write_1h_tokens > self.cache_write_tokens
        ):
            raise ValueError(f"the parts of {self!r} exceed their total")

    def figures(self) -> dict[str, int | str]:
        """As the ledger's columns have it."""
        return {
            "input_tokens": self.input_tokens,
            "cached_input_tokens": self.cached_input_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "cache_write_1h_tokens": self.cache_write_1h_tokens,
            "input_audio_tokens": self.input_audio_tokens,
            "output_tokens": self.output_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "output_audio_tokens": self.output_audio_tokens,
            "web_searches": self.web_searches,
            "service_tier": self.service_tier,
            "usage_source": self.source.value,
        }

    def components(self) -> Iterator[tuple[Component, int]]:
        """Each priced component with its quantity, zero quantities left out."""
        special_input = self.cached_input_tokens + self.cache_write_tokens + self.input_audio_tokens
        special_output = self.reasoning_tokens + self.output_audio_tokens
        for component, quantity in (
            (Component.INPUT, self.input_tokens - special_input),
            (Component.CACHED_INPUT, self.cached_input_tokens),
            (Component.CACHE_WRITE, self.cache_write_tokens - self.cache_write_1h_tokens),
            (Component.CACHE_WRITE_1H, self.cache_write_1h_tokens),
            (Component.INPUT_AUDIO, self.input_audio_tokens),
            (Component.OUTPUT, self.output_tokens - special_output),
            (Component.REASONING, self.reasoning_tokens),
            (Component.OUTPUT_AUDIO, self.output_audio_tokens),
            (Component.WEB_SEARCH, self.web_searches),
        ):
            if quantity:
                yield component, quantity


NOTHING_USED = Usage(source=UsageSource.NONE)
