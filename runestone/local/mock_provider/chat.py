"""POST /v1/chat/completions, told in order."""

from __future__ import annotations

from runestone.local.mock_provider import errors, requests
from runestone.local.mock_provider.answers import answers, prompt_tokens
from runestone.local.mock_provider.errors import BrokenOffError, HungUpError
from runestone.local.mock_provider.exchange import HTML, JSON, Exchange
from runestone.local.mock_provider.prices import granted
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.replies import CHAT, Task, Wire
from runestone.local.mock_provider.requests import ChatRequest, Message
from runestone.local.mock_provider.scenarios import NORMAL, Scenario
from runestone.local.mock_provider.work import Work

GARBAGE = b"<html><head><title>Bad gateway</title></head><body>\xc2\xa1Oops!</body></html>"


async def chat(exchange: Exchange, provider: Provider) -> None:
    """Read and answer."""
    body = await exchange.body()
    await answer(exchange, provider, requests.chat(body), CHAT, body)


async def answer(
    exchange: Exchange, provider: Provider, request: ChatRequest, wire: Wire, body: bytes
) -> None:
    """Decide, fail if so asked, else answer."""
    scenario = provider.scenario(exchange, request.model)
    if scenario is not NORMAL:
        exchange.deaf = scenario.deaf
        if await fail_before_work(exchange, scenario, request.model):
            return
    prompt = prompt_tokens(request)
    if scenario.mirror:
        request.messages.append(Message("user", body.decode()))
    task = Task(
        wire,
        request.model,
        prompt,
        answers(request, scenario),
        bool(request.stream),
        request.stream_options,
        service_tier=granted(request.service_tier),
    )
    await Work(exchange, provider, task, scenario).run()


async def fail_before_work(exchange: Exchange, scenario: Scenario, model: str) -> bool:
    """The failures that cost nothing. Tells whether one was asked for."""
    if scenario.error is not None:
        await exchange.pause(scenario.slow_headers + scenario.delay)
        raise errors.asked_for(scenario, model)
    if scenario.drop:
        await exchange.cut(reset=not scenario.fin)
        raise BrokenOffError
    if scenario.hang:
        await exchange.until_gone()
        raise HungUpError
    if scenario.garbage is not None or scenario.empty:
        body, kind = (b"", JSON) if scenario.empty else (GARBAGE, HTML)
        await exchange.reply(scenario.garbage or 200, kind, body)
        return True
    return False
