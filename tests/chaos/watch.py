"""The breakers as they are told at GET /health/providers, watched from outside."""

import time
from collections.abc import Callable, Collection
from typing import Any

import httpx

from tests.gateway_process import GatewayProcess

POLL_SECONDS = 0.05
SECONDS_MAX = 90.0

Told = dict[str, Any]


class Watch:
    def __init__(self, gateway: GatewayProcess, client: httpx.Client) -> None:
        self._url = f"{gateway.root}/health/providers"
        self._client = client

    def told(self) -> dict[str, Told]:
        """By upstream."""
        providers: dict[str, Told] = self._client.get(self._url).json()["providers"]
        return providers

    def until(self, upstreams: Collection[str], wanted: Callable[[Told], bool]) -> dict[str, float]:
        """Waits for each of them; after how many seconds it was so, by upstream."""
        began = time.monotonic()
        reached: dict[str, float] = {}
        while True:
            told = self.told()
            now = time.monotonic() - began
            for upstream in upstreams:
                if wanted(told[upstream]):
                    reached.setdefault(upstream, now)
            if reached.keys() >= set(upstreams):
                return reached
            assert now < SECONDS_MAX, {upstream: told[upstream] for upstream in upstreams}
            time.sleep(POLL_SECONDS)


def is_open(told: Told) -> bool:
    return told["state"] == "open"


def is_closed(told: Told) -> bool:
    return told["state"] == "closed"
