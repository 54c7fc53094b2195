"""What the model says, and how many tokens that is. No I/O, no wire format."""

from __future__ import annotations

import re
from itertools import cycle, islice

import msgspec

from runestone.local.mock_provider.requests import (
    NULL,
    ChatRequest,
    CompletionsRequest,
    Text,
    texts,
    tokens,
)
from runestone.local.mock_provider.scenarios import Scenario
from runestone.local.mock_provider.tools import Call, plan_calls

# A word and the whitespace after it, so that the pieces join to exactly the text.
PIECE = re.compile(r"\S+\s*")
REFUSAL = "I'm very sorry, but I can't assist with that request."
NOTHING_SAID = "OK"


class Answer(msgspec.Struct):
    """One choice. `echoed` is the prompt said back, which costs nothing."""

    text: str
    finish_reason: str = "stop"
    reasoning: int = 0
    refused: bool = False
    calls: list[Call] = []
    echoed: str = ""
    stopped_by: str = ""  # Which of the stop sequences it was.

    @property
    def visible_tokens(self) -> int:
        """The tokens that the client can see."""
        return len(self.text.split()) + sum(call.tokens for call in self.calls)

    @property
    def pieces(self) -> list[str]:
        """The text, token by token."""
        return PIECE.findall(self.text)


def prompt_tokens(request: ChatRequest) -> int:
    """One token per word of the messages, at least one."""
    return sum(len(message.text.split()) for message in request.messages) or 1


def continued_tokens(request: CompletionsRequest) -> int:
    """One token per word of the prompts and of the suffix, at least one."""
    prompts = sum(map(tokens, _prompts(request)))
    return prompts + tokens(request.suffix or "") or 1


def answers(request: ChatRequest, scenario: Scenario) -> list[Answer]:
    """Each choice's answer: they are all alike."""
    made = _cut(_compose(request, scenario), scenario, request.stop, _allowed(request))
    return [made] * (request.n or 1)


def continuations(request: CompletionsRequest, scenario: Scenario) -> list[Answer]:
    """Each choice's answer: n of each prompt, and those of a prompt are alike."""
    return [
        made
        for prompt in _prompts(request)
        for made in [_continuation(request, prompt, scenario)] * (request.n or 1)
    ]


def _prompts(request: CompletionsRequest) -> list[Text]:
    return texts(request.prompt or "")


def _continuation(request: CompletionsRequest, prompt: Text, scenario: Scenario) -> Answer:
    given = prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
    made = Answer(_text(given.strip(), scenario), _finish(scenario), scenario.reasoning)
    _cut(made, scenario, request.stop, request.max_tokens)
    made.echoed = given if request.echo else ""
    return made


def _cut(
    made: Answer, scenario: Scenario, stop: str | list[str] | None, allowed: int | None
) -> Answer:
    """Cut an answer to what the client allows."""
    _stop(made, stop)
    _limit(made, None if scenario.overrun else allowed)
    if scenario.finish:
        made.finish_reason = scenario.finish
    return made


def _compose(request: ChatRequest, scenario: Scenario) -> Answer:
    calls = plan_calls(request, scenario) if request.tools != NULL else []
    if calls:
        return Answer("", "tool_calls", scenario.reasoning, calls=calls)
    if scenario.refusal:
        return Answer(REFUSAL, reasoning=scenario.reasoning, refused=True)
    text = _text(_last_user_text(request), scenario)
    return Answer(text, _finish(scenario), scenario.reasoning)


def _finish(scenario: Scenario) -> str:
    return "length" if scenario.length else "stop"


def _text(prompt: str, scenario: Scenario) -> str:
    if scenario.huge is not None:
        return "x" * scenario.huge
    text = prompt or NOTHING_SAID
    words = _words_wanted(text, scenario)
    return text if words is None else _resize(text, words)


def _last_user_text(request: ChatRequest) -> str:
    for message in reversed(request.messages):
        if message.role == "user":
            return message.text.strip()
    return ""


def _words_wanted(text: str, scenario: Scenario) -> int | None:
    """How long the answer has to be, or None for as long as the message."""
    words = scenario.chunks
    if words is None and scenario.length:
        words = max(1, len(text.split()) // 2)
    if words is None and scenario.breaks_after is not None:
        # There must be something left to break off.
        words = max(len(text.split()), scenario.breaks_after + 1)
    return words


def _resize(text: str, words: int) -> str:
    pieces = PIECE.findall(text)
    pieces[-1] += " "
    return "".join(islice(cycle(pieces), words)).rstrip()


def _stop(made: Answer, stop: str | list[str] | None) -> None:
    for word in [stop] if isinstance(stop, str) else stop or ():
        if word and word in made.text:
            made.text = made.text[: made.text.index(word)]
            made.finish_reason = "stop"
            made.stopped_by = word


def _allowed(request: ChatRequest) -> int | None:
    if request.max_completion_tokens is not None:
        return request.max_completion_tokens
    return request.max_tokens


def _limit(made: Answer, allowed: int | None) -> None:
    """Cut to the allowance: hidden reasoning spends it first, as with OpenAI."""
    if allowed is None or made.reasoning + made.visible_tokens <= allowed:
        return
    made.finish_reason = "length"
    made.reasoning = min(made.reasoning, allowed)
    left = allowed - made.reasoning
    made.text = "".join(made.pieces[:left]).rstrip()
    made.calls = _limit_calls(made.calls, left)


def _limit_calls(calls: list[Call], left: int) -> list[Call]:
    kept: list[Call] = []
    for call in calls:
        if left <= 0:
            break
        kept.append(msgspec.structs.replace(call, fragments=call.fragments[: left - 1]))
        left -= call.tokens
    return kept
