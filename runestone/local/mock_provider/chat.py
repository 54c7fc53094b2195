"""POST /v1/chat/completions, told in order."""

from __future__ import annotations

import asyncio

from runestone.local.mock_provider import errors, replies, requests
from runestone.local.mock_provider.answers import Answer, answer, prompt_tokens
from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.errors import BrokenOffError, HungUpError
from runestone.local.mock_provider.exchange import HTML, JSON, SSE, Exchange
from runestone.local.mock_provider.framing import Framing
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.replies import Stream
from runestone.local.mock_provider.requests import ChatRequest
from runestone.local.mock_provider.scenarios import NORMAL, Scenario

GARBAGE = b"<html><head><title>Bad gateway</title></head><body>\xc2\xa1Oops!</body></html>"
# A stream without gaps would hold the loop until its end, deaf to its client's hang-up.
EVENTS_PER_TURN_MAX = 16


async def chat(exchange: Exchange, provider: Provider) -> None:
    """Read, decide, fail if so asked, else answer."""
    request = requests.chat(await exchange.body())
    scenario = provider.scenario(exchange, request.model)
    if scenario is not NORMAL:
        exchange.deaf = scenario.deaf
        await exchange.pause(scenario.slow_headers)
        if await fail_before_work(exchange, scenario, request.model):
            return
    await _work(exchange, provider, request, scenario)


async def fail_before_work(exchange: Exchange, scenario: Scenario, model: str) -> bool:
    """The failures that cost nothing. Tells whether one was asked for."""
    if scenario.error is not None:
        await exchange.pause(scenario.delay)
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


async def _work(
    exchange: Exchange, provider: Provider, request: ChatRequest, scenario: Scenario
) -> None:
    """Answer. Whatever was worked is billed once, even if the answer breaks off."""
    made = answer(request, scenario)
    line = _open_line(exchange, request, scenario)
    try:
        if line.streamed:
            await _stream(exchange, provider, request, made, line, scenario)
        else:
            await _whole(exchange, provider, request, made, line, scenario)
    except (HungUpError, BrokenOffError):
        if not line.at:
            provider.charge(line)
        raise


def _open_line(exchange: Exchange, request: ChatRequest, scenario: Scenario) -> Line:
    prompt = prompt_tokens(request)
    return Line(
        attempt=exchange.header(b"x-runestone-attempt-id"),
        request=exchange.request_id,
        model=request.model,
        prompt_tokens=prompt,
        cached_tokens=min(scenario.cached, prompt),
        streamed=bool(request.stream) and not (scenario.json_for_stream or scenario.cut_json),
    )


async def _whole(
    exchange: Exchange,
    provider: Provider,
    request: ChatRequest,
    made: Answer,
    line: Line,
    scenario: Scenario,
) -> None:
    if scenario.delay:
        await exchange.pause(scenario.delay)
    choices = request.n or 1
    line.reasoning_tokens = choices * made.reasoning
    line.completion_tokens = choices * (made.reasoning + made.visible_tokens)
    report = replies.usage(line, line.completion_tokens, line.reasoning_tokens)
    body = replies.completion(exchange.number, request, made, None if scenario.no_usage else report)
    if scenario is not NORMAL and (scenario.cut_json or scenario.cut is not None):
        await _half(exchange, body, scenario)
    line.finished = True
    provider.charge(line)
    await exchange.json(body[: len(body) // 2] if scenario.half_json else body)


async def _half(exchange: Exchange, body: bytes, scenario: Scenario) -> None:
    """Promise the whole body, send half of it, and cut the line."""
    await exchange.start(200, JSON, len(body))
    await exchange.write(body[: len(body) // 2])
    await exchange.cut(reset=not scenario.fin)
    raise BrokenOffError


async def _stream(
    exchange: Exchange,
    provider: Provider,
    request: ChatRequest,
    made: Answer,
    line: Line,
    scenario: Scenario,
) -> None:
    exchange.watch()
    await exchange.start(200, SSE, None)
    stream = Stream(exchange.number, request, made, line, scenario)
    try:
        await _events(exchange, provider, stream, line)
    except BrokenOffError:
        await _break_off(exchange, scenario)
        raise
    await exchange.end()


async def _events(exchange: Exchange, provider: Provider, stream: Stream, line: Line) -> None:
    framing = Framing(exchange, stream.scenario)
    for turn, event in enumerate(stream.events()):
        if event.wait:
            await exchange.pause(event.wait)
        elif turn % EVENTS_PER_TURN_MAX == 0:
            await asyncio.sleep(0)
        # Counted as they are made: a provider has worked for a chunk that nobody reads.
        line.completion_tokens += event.tokens
        line.reasoning_tokens += event.reasoning
        if event.last_token and not line.at:
            line.finished = True
            provider.charge(line)
        await framing.write(event.payload)


async def _break_off(exchange: Exchange, scenario: Scenario) -> None:
    """An error event ends the reply in order; a cut does not."""
    if scenario.cut is None:
        await exchange.end()
    else:
        await exchange.cut(reset=not scenario.fin)
