"""POST /v1/completions, the legacy one: told in the same order as chat."""

from __future__ import annotations

from runestone.local.mock_provider import requests
from runestone.local.mock_provider.answers import continuations, continued_tokens
from runestone.local.mock_provider.chat import fail_before_work
from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.replies import COMPLETION, Task
from runestone.local.mock_provider.requests import CompletionsRequest
from runestone.local.mock_provider.scenarios import Scenario
from runestone.local.mock_provider.work import Work


async def completions(exchange: Exchange, provider: Provider) -> None:
    """Read, fail if so asked, else answer."""
    request = requests.completions(await exchange.body())
    scenario = provider.scenario(exchange, request.model)
    exchange.deaf = scenario.deaf
    if await fail_before_work(exchange, scenario, request.model):
        return
    await Work(exchange, provider, _task(request, scenario), scenario).run()


def _task(request: CompletionsRequest, scenario: Scenario) -> Task:
    made = continuations(request, scenario)
    streamed = bool(request.stream)
    wanted = request.n or 1
    # `best_of` candidates are made for each prompt, and only `n` of them are shown.
    thrown_away = 0 if streamed else max(0, (request.best_of or 1) - wanted)
    return Task(
        COMPLETION,
        request.model,
        continued_tokens(request),
        made,
        streamed,
        request.stream_options,
        thrown_away * sum(each.visible_tokens for each in made[::wanted]),
    )
