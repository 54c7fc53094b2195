"""The work of one call: send the answer, and bill whatever was made."""

from __future__ import annotations

import asyncio

from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.errors import BrokenOffError, HungUpError
from runestone.local.mock_provider.exchange import JSON, Exchange
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.replies import Event, Task
from runestone.local.mock_provider.scenarios import NORMAL, Scenario

# A stream without gaps would hold the loop until its end, deaf to its client's hang-up.
EVENTS_PER_TURN_MAX = 16


class Work:
    """A call that is accepted. From here on it costs something."""

    __slots__ = ("exchange", "line", "provider", "scenario", "task")

    def __init__(
        self, exchange: Exchange, provider: Provider, task: Task, scenario: Scenario
    ) -> None:
        self.exchange, self.provider = exchange, provider
        self.task, self.scenario = task, scenario
        self.line = self._open_line()

    def _open_line(self) -> Line:
        scenario, prompt = self.scenario, self.task.prompt_tokens
        as_json = scenario.json_for_stream or scenario.cut_json
        return Line(
            attempt=self.exchange.header(b"x-runestone-attempt-id"),
            request=self.exchange.request_id,
            model=self.task.model,
            prompt_tokens=prompt,
            cached_tokens=min(scenario.cached, prompt),
            service_tier=self.task.service_tier,
            streamed=self.task.stream and not as_json,
        )

    async def run(self) -> None:
        """Answer. What was made is billed once, even if the answer breaks off."""
        try:
            if self.scenario is not NORMAL:
                await self.exchange.pause(self.scenario.slow_headers)
            await (self._stream() if self.line.streamed else self._whole())
        except (HungUpError, BrokenOffError, asyncio.CancelledError):
            self._charge()
            raise

    def _charge(self) -> None:
        self.provider.charge(self.line)

    # JSON.

    async def _whole(self) -> None:
        scenario = self.scenario
        if scenario.delay:
            await self.exchange.pause(scenario.delay)
        body = self._body()
        if scenario.cut_json or scenario.cut is not None:
            self._charge()
            await self._half(body)
        self.line.finished = True
        self._charge()
        await self.exchange.json(body[: len(body) // 2] if scenario.half_json else body)

    def _body(self) -> bytes:
        line, task = self.line, self.task
        line.reasoning_tokens = sum(made.reasoning for made in task.answers)
        visible = sum(made.visible_tokens for made in task.answers)
        line.completion_tokens = line.reasoning_tokens + visible + task.unseen
        usage = task.wire.usage(line, line.completion_tokens, line.reasoning_tokens)
        told = None if self.scenario.no_usage else usage
        return task.wire.whole(self.exchange.number, task, told)

    async def _half(self, body: bytes) -> None:
        """Promise the whole body, send half of it, and cut the line."""
        await self.exchange.start(200, JSON, len(body))
        await self.exchange.write(body[: len(body) // 2])
        await self.exchange.cut(reset=not self.scenario.fin)
        raise BrokenOffError

    # A stream.

    async def _stream(self) -> None:
        self.exchange.watch()
        await self.exchange.start(200, self.task.wire.kind, None)
        try:
            await self._events()
        except BrokenOffError:
            self._charge()
            await self._break_off()
            raise
        await self.exchange.end()

    async def _events(self) -> None:
        number, wire = self.exchange.number, self.task.wire
        framing = wire.framing(self.exchange, self.scenario)
        stream = wire.stream(number, self.task, self.line, self.scenario)
        for turn, event in enumerate(stream.events()):
            if event.wait:
                await self.exchange.pause(event.wait)
            elif turn % EVENTS_PER_TURN_MAX == 0:
                await asyncio.sleep(0)
            self._count(event)
            await framing.write(event.payload)

    def _count(self, event: Event) -> None:
        """Count what is made, read or not: a provider has worked for an unread chunk too."""
        line = self.line
        line.completion_tokens += event.tokens
        line.reasoning_tokens += event.reasoning
        # The bill comes before the client can see that this is the end.
        if event.last_token or event.failure:
            line.finished = line.finished or event.last_token
            self._charge()

    async def _break_off(self) -> None:
        """An error event ends the reply in order; a cut does not."""
        if self.scenario.cut is None:
            await self.exchange.end()
        else:
            await self.exchange.cut(reset=not self.scenario.fin)
