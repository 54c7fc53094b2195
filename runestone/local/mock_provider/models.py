"""GET /v1/models and GET /v1/models/{id}."""

from __future__ import annotations

from typing import Any

import msgspec

from runestone.local.mock_provider import scenarios
from runestone.local.mock_provider.errors import ProviderError
from runestone.local.mock_provider.prices import PriceTable

CREATED = 1_721_172_741
ALWAYS = ("mock-normal", "mock-slow", "mock-tools", "mock-reasoning")


def listing(prices: PriceTable) -> bytes:
    """Every model with a price, and a few that are scenarios."""
    data = [_model(name) for name in (*prices.by_model, *ALWAYS)]
    return msgspec.json.encode({"object": "list", "data": data})


def one(prices: PriceTable, name: str) -> bytes:
    """One model. A scenario makes a known model no stranger."""
    if name not in prices.by_model and scenarios.split_model(name)[0] not in (
        "mock",
        *prices.by_model,
    ):
        message = f"The model '{name}' does not exist"
        raise ProviderError(404, message, code="model_not_found", param="model")
    return msgspec.json.encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "runestone-mock"}
