"""What each model costs, in whole pico-USD (1e-12 USD) per token."""

from __future__ import annotations

from pathlib import Path

import msgspec

from runestone.local.mock_provider import scenarios

DEFAULT_TIER = "default"
# What a tier costs, of the default one's price. All prices are even, so half of one is whole.
TIER_PERCENT = {DEFAULT_TIER: 100, "flex": 50, "priority": 200}

# What a token costs that is written to the cache, for five minutes or an hour, of a fresh one's
# price. All prices are multiples of 100, so it is whole.
WRITE_PERCENT, WRITE_1H_PERCENT = 125, 200


def granted(service_tier: str | None) -> str:
    """The tier that serves a call: the one it asks for, if there is such a one."""
    return service_tier if service_tier in TIER_PERCENT else DEFAULT_TIER


class Price(msgspec.Struct, frozen=True):
    """One model's price; reasoning is part of the output, cached input of the prompt."""

    input: int
    cached_input: int
    output: int

    def amount_pico(
        self,
        prompt: int,
        cached: int,
        completion: int,
        service_tier: str = DEFAULT_TIER,
        *,
        written: int = 0,
        written_1h: int = 0,
    ) -> int:
        """The whole amount of a call. Integers only, so there is nothing to round."""
        fresh = (prompt - cached - written - written_1h) * self.input
        writes = written * WRITE_PERCENT + written_1h * WRITE_1H_PERCENT
        amount = fresh + cached * self.cached_input + completion * self.output
        return (amount + writes * self.input // 100) * TIER_PERCENT[service_tier] // 100


ANY_OTHER = Price(1_000_000, 500_000, 2_000_000)
DEFAULTS: dict[str, Price] = {
    "gpt-4o-mini": Price(150_000, 75_000, 600_000),
    "gpt-4o": Price(2_500_000, 1_250_000, 10_000_000),
    "gpt-3.5-turbo-instruct": ANY_OTHER,
    "text-embedding-3-small": Price(20_000, 20_000, 0),
    "text-embedding-3-large": Price(130_000, 130_000, 0),
    "omni-moderation-latest": Price(0, 0, 0),
}


class PriceTable:
    """Prices by model name. A name with a scenario costs what its model costs."""

    def __init__(self, overrides: dict[str, Price] | None = None) -> None:
        self.by_model = DEFAULTS | (overrides or {})

    @classmethod
    def load(cls, path: Path | None) -> PriceTable:
        """Read overrides from a file of {model: {input, cached_input, output}}."""
        if path is None:
            return cls()
        return cls(msgspec.json.decode(path.read_bytes(), type=dict[str, Price]))

    def of(self, model: str) -> Price:
        """The price of exactly this name, or else of the model without its scenario."""
        exact = self.by_model.get(model)
        if exact is not None:
            return exact
        return self.by_model.get(scenarios.split_model(model)[0], ANY_OTHER)
