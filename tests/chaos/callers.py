"""Who calls while upstreams fail, and how each call ends in the eyes of its caller."""

import asyncio
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import NamedTuple

import openai

from runestone.lib.policy import RoutingPolicy
from tests.cast import Account

# More than come before any cut: the mock would make an answer longer to have something to cut.
WORDS_MIN = 3
WORDS_MAX = 12
# Of all calls …
STREAMS_SHARE = 0.5
LEAVING_SHARE = 0.1
# … and a caller that leaves does so within this time, wherever its call is then.
LEAVES_SECONDS_MAX = 0.2
# Longer than six attempts and two pauses take here.
SECONDS_MAX = 30.0


class Ending(StrEnum):
    ANSWERED = "answered in full"
    BROKEN = "broken off after the first word, with an error event"
    LEFT = "left by the caller"
    REFUSED = "refused"
    SILENT = "ended without an end, or said something else"


@dataclass(frozen=True)
class Errand:
    """One call that is to be made."""

    number: int
    words: int
    stream: bool
    policy: RoutingPolicy
    leaves_after: float | None

    @property
    def text(self) -> str:
        """Its answer repeats it, so that nobody can be given another's unnoticed."""
        return " ".join(f"{word}-of-{self.number}" for word in range(self.words))


def errands(dice: random.Random) -> Iterator[Errand]:
    for number in count():
        is_leaving = dice.random() < LEAVING_SHARE
        yield Errand(
            number,
            words=dice.randint(WORDS_MIN, WORDS_MAX),
            stream=dice.random() < STREAMS_SHARE,
            policy=dice.choice(list(RoutingPolicy)),
            leaves_after=dice.uniform(0, LEAVES_SECONDS_MAX) if is_leaving else None,
        )


class Story(NamedTuple):
    """What came of an errand, and what its caller has to say of it."""

    errand: Errand
    ending: Ending
    said: str


async def run(client: openai.AsyncOpenAI, model: str, errand: Errand) -> Story:
    said: list[str] = []
    ending = await _ending(client, model, errand, said)
    return Story(errand, ending, " ".join(said))


async def _ending(
    client: openai.AsyncOpenAI, model: str, errand: Errand, said: list[str]
) -> Ending:
    try:
        async with asyncio.timeout(errand.leaves_after or SECONDS_MAX):
            reason = await (_streamed if errand.stream else _whole)(client, model, errand, said)
    except TimeoutError:
        return Ending.SILENT if errand.leaves_after is None else Ending.LEFT
    except openai.APIError as error:
        # What comes inside a stream has no status of its own.
        is_event = type(error) is openai.APIError and isinstance(error.body, dict)
        ending = Ending.BROKEN if said and is_event else Ending.REFUSED
        said.append(repr(error))
        return ending
    is_whole = "".join(said) == errand.text and reason == "stop"
    return Ending.ANSWERED if is_whole else Ending.SILENT


async def _whole(
    client: openai.AsyncOpenAI, model: str, errand: Errand, said: list[str]
) -> str | None:
    answer = await client.chat.completions.create(**_asked(model, errand))
    [choice] = answer.choices
    said.append(choice.message.content)
    return choice.finish_reason


async def _streamed(
    client: openai.AsyncOpenAI, model: str, errand: Errand, said: list[str]
) -> str | None:
    reason = None
    async with await client.chat.completions.create(**_asked(model, errand), stream=True) as chunks:
        async for chunk in chunks:
            [choice] = chunk.choices
            said += [choice.delta.content] if choice.delta.content else []
            reason = choice.finish_reason or reason
    return reason


def _asked(model: str, errand: Errand) -> dict:
    return {
        "model": model,
        "messages": [{"role": "user", "content": errand.text}],
        "max_tokens": 2 * WORDS_MAX,
        "extra_body": {"routing_policy": errand.policy},
    }


@dataclass
class Traffic:
    """`rate` calls a second on the average, by all accounts in turn."""

    accounts: Sequence[Account]
    url: str
    model: str
    calls_min: int
    rate: float
    dice: random.Random
    # Set: there need not be more than `calls_min`.
    may_end: threading.Event = field(default_factory=threading.Event)

    async def flow(self) -> list[Story]:
        clients = [account.async_client(self.url) for account in self.accounts]
        under_way = []
        async with asyncio.TaskGroup() as group:
            for errand in errands(self.dice):
                if errand.number >= self.calls_min and self.may_end.is_set():
                    break
                client = clients[errand.number % len(clients)]
                under_way.append(group.create_task(run(client, self.model, errand)))
                await asyncio.sleep(self.dice.expovariate(self.rate))
        for client in clients:
            await client.close()
        return [each.result() for each in under_way]
