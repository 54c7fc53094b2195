"""What the process knows: its bill, prices, counters and choice of scenario."""

from __future__ import annotations

from collections import Counter
from random import Random

from runestone.local.mock_provider import scenarios
from runestone.local.mock_provider.bill import Bill, Line
from runestone.local.mock_provider.calls import Calls
from runestone.local.mock_provider.errors import ProviderError
from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.prices import PriceTable
from runestone.local.mock_provider.scenarios import NORMAL, Scenario, UnknownScenarioError

# Texts of `first` scenarios that are counted before the oldest is forgotten.
FIRSTS_MAX = 100_000


class Provider:
    """The state of one mock provider."""

    def __init__(
        self, bill: Bill, prices: PriceTable, api_key: str | None, scenario: str, seed: int
    ) -> None:
        self.bill = bill
        self.prices = prices
        self.api_key = api_key
        self.calls = Calls()
        self._default = scenario
        self._random = Random(seed)  # noqa: S311 - a chaos run must repeat
        self._used: Counter[str] = Counter()

    def scenario(self, exchange: Exchange, model: str) -> Scenario:
        """The call's scenario: the header's, or the model's, or the process's."""
        text = exchange.header(b"x-mock-scenario") or scenarios.split_model(model)[1]
        return self._drawn(text or self._default)

    def _drawn(self, text: str) -> Scenario:
        if not text:
            return NORMAL
        if "|" in text:
            text = self._random.choice(scenarios.alternatives(text))
        try:
            asked = scenarios.parse(text)
        except UnknownScenarioError as slip:
            raise ProviderError(400, str(slip), code="unknown_scenario") from None
        return asked if self._applies(asked, text) else NORMAL

    def _applies(self, asked: Scenario, text: str) -> bool:
        if asked.odds is not None and self._random.random() >= asked.odds:
            return False
        if asked.first is None:
            return True
        self._used[text] += 1
        if len(self._used) > FIRSTS_MAX:
            self._used.pop(next(iter(self._used)))
        return self._used[text] <= asked.first

    def charge(self, line: Line) -> None:
        """Write a line to the bill, once: whoever ends a call may say so again."""
        if not line.at:
            self.bill.append(line, self.prices.of(line.model))
