"""How a request found its upstream: the decision, and what became of each way that there was."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from billing.holds import CLIENT_CLOSED_REQUEST
from billing.models import Entry
from runestone.lib.errors import UpstreamHedged
from runestone.lib.policy import RoutingPolicy


class Outcome(NamedTuple):
    """How an attempt went: a word, the colour of its badge, and what more there is to say."""

    word: str
    colour: str
    detail: str = ""


_NOT_TRIED = Outcome("not tried", "", "an answer, or an error, came before its turn")
# Such as a field that its vendor does not take, no room in a budget, a breaker that opened.
_NOT_CALLED = Outcome("not called", "warning", "its turn came, but nothing could be sent")


def routing_card(lines: Sequence[Entry]) -> dict[str, Any]:
    """`lines` are the attempts' first lines, in order."""
    told = next((line.routing for line in lines if line.routing), None)
    if told is None:
        return {"words": _words_without(lines[0])}
    return {
        "policy": told["policy"],
        "policy_words": RoutingPolicy(told["policy"]).words,
        "candidates": _candidates(told["candidates"], lines),
        "left_out": [_way(name) | {"why": why} for name, why in told["left_out"].items()],
    }


def outcome(line: Entry) -> Outcome:
    if line.kind == Entry.Kind.CACHED:
        return Outcome("cached", "info")
    if line.kind == Entry.Kind.ORPHAN or not line.status:
        return Outcome("died", "danger", "its gateway died")
    if line.error == UpstreamHedged.code:
        return Outcome("hedged", "warning", "another one was faster")
    if line.status == CLIENT_CLOSED_REQUEST:
        return Outcome("left", "warning", "the caller hung up")
    if line.error:
        colour = "warning" if line.status < 500 else "danger"
        return Outcome("failed", colour, f"{line.status} {line.error}")
    return Outcome("answered", "success")


def reaches_caller(line: Entry) -> bool:
    """Whether a caller may hear of it at all: of an attempt that another one outran, never."""
    return line.error != UpstreamHedged.code


def _words_without(first: Entry) -> str:
    if first.kind == Entry.Kind.CACHED:
        return "No upstream was asked: the answer came from the response cache."
    if first.kind == Entry.Kind.ORPHAN:
        return "Not known: the gateway died before it could note how the upstream was chosen."
    return f"There was one way only: {first.model} at {first.upstream}."


def _candidates(names: Sequence[str], lines: Iterable[Entry]) -> list[dict[str, Any]]:
    attempts: dict[str, list[Entry]] = {}
    for line in lines:
        attempts.setdefault(f"{line.upstream}/{line.model}", []).append(line)
    reached = max((place for place, name in enumerate(names) if name in attempts), default=-1)
    return [
        _way(name)
        | {
            "outcomes": [
                {"number": line.attempt, **outcome(line)._asdict()}
                for line in attempts.get(name, ())
            ]
            or [(_NOT_CALLED if place < reached else _NOT_TRIED)._asdict()]
        }
        for place, name in enumerate(names)
    ]


def _way(name: str) -> dict[str, str]:
    """`name` as routing writes it; a slug has no slash, a model's name may."""
    upstream, _, model = name.partition("/")
    return {"upstream": upstream, "model": model}
