"""POST /v1/moderations: a text that speaks of violence is flagged, and nobody pays."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from runestone.local.mock_provider import requests
from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.chat import fail_before_work
from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.requests import ModerationPart, ModerationsRequest

# Each category, and whether it is looked for in images too.
CATEGORIES = {
    "harassment": False, "harassment/threatening": False, "hate": False,
    "hate/threatening": False, "illicit": False, "illicit/violent": False, "self-harm": True,
    "self-harm/instructions": True, "self-harm/intent": True, "sexual": True,
    "sexual/minors": False, "violence": True, "violence/graphic": True,
}  # fmt: skip
BAD_WORD = re.compile(r"\bviolence\b", re.IGNORECASE)
CERTAIN, UNLIKELY = 0.98, 0.0001


async def moderations(exchange: Exchange, provider: Provider) -> None:
    """Read, fail if so asked, else answer; the line on the bill has no tokens and no amount."""
    request = requests.moderations(await exchange.body())
    scenario = provider.scenario(exchange, request.model)
    if await fail_before_work(exchange, scenario, request.model):
        return
    await exchange.pause(scenario.slow_headers + scenario.delay)
    attempt = exchange.header(b"x-runestone-attempt-id")
    provider.charge(Line(attempt, exchange.request_id, request.model, 0, finished=True))
    results = [_result(text, kinds) for text, kinds in _judged(request)]
    reply = {"id": f"modr-{exchange.number.decode()}", "model": request.model, "results": results}
    await exchange.json(msgspec.json.encode(reply))


def _judged(request: ModerationsRequest) -> list[tuple[str, list[str]]]:
    """What is judged as one: each text by itself, but all parts of a message together."""
    if isinstance(request.input, str):
        return [(request.input, ["text"])]
    texts = [each for each in request.input if isinstance(each, str)]
    parts = [each for each in request.input if isinstance(each, ModerationPart)]
    if not parts:
        return [(text, ["text"]) for text in texts]
    kinds = {"text": "text", "image_url": "image"}
    seen = {kinds[part.type] for part in parts}
    return [(" ".join(part.text for part in parts), sorted(seen, reverse=True))]


def _result(text: str, kinds: list[str]) -> dict[str, Any]:
    found = {name: name == "violence" and bool(BAD_WORD.search(text)) for name in CATEGORIES}
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {name: CERTAIN if found[name] else UNLIKELY for name in CATEGORIES},
        "category_applied_input_types": {
            name: [kind for kind in kinds if kind == "text" or in_images]
            for name, in_images in CATEGORIES.items()
        },
    }
