"""Rounds that alternate between the servers, so that a noisy moment of the machine hits all."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.load import Load
from bench.servers import ROOT

LOAD_SECONDS_MAX = 300.0


@dataclass(frozen=True)
class Target:
    """Where a load goes; `watch` are the processes whose CPU time is of interest."""

    name: str
    url: str
    key: str
    watch: dict[str, int]


@dataclass(frozen=True)
class Round:
    """What one server did in one round."""

    target: str
    seen: dict[str, Any]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return float(self.seen["requests"] / self.seen["seconds"])

    @property
    def event_rate(self) -> float:
        return float(self.seen["events"] / self.seen["seconds"])

    @property
    def is_clean(self) -> bool:
        return set(self.seen["statuses"]) <= {"200"}

    def cpu_us(self, process: str, per: str = "requests") -> float:
        count = self.seen[per]
        return float(self.seen["cpu_seconds"].get(process, 0.0) / count * 1e6) if count else 0.0

    def busy(self, process: str) -> float:
        """The fraction of the measured time that a process was on a core."""
        return float(self.seen["cpu_seconds"].get(process, 0.0) / self.seen["seconds"])

    @property
    def strange_cores(self) -> float:
        """How many cores were busy with what is none of ours, on average."""
        ours = sum(self.seen["cpu_seconds"].values())
        return max(0.0, float((self.seen["machine_seconds"] - ours) / self.seen["seconds"]))

    def milliseconds(self, quantile: str, of: str = "milliseconds") -> float:
        return float(self.seen[of].get(quantile, float("nan")))


Played = dict[str, list[Round]]


def play(
    targets: Sequence[Target],
    rounds: int,
    after: Callable[[Round], None] = lambda played: None,
    **load: Any,
) -> Played:
    """Each target in turn, `rounds` times; `after` sees each round when it is over."""
    played: Played = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            one = Round(target.name, _loaded(target, load))
            after(one)
            played[target.name].append(one)
    return played


def best(played: Played, by: Callable[[Round], float]) -> dict[str, Round]:
    return {name: max(rounds, key=by) for name, rounds in played.items()}


def child(module: str, argument: dict[str, Any], **options: Any) -> dict[str, Any]:
    """What a module of ours says as JSON, run in a process of its own."""
    said = subprocess.run(
        [sys.executable, "-m", module, json.dumps(argument)],
        stdout=subprocess.PIPE,
        timeout=LOAD_SECONDS_MAX,
        check=True,
        cwd=ROOT,
        **options,
    )
    answer: dict[str, Any] = json.loads(said.stdout)
    return answer


def _loaded(target: Target, load: dict[str, Any]) -> dict[str, Any]:
    return child("bench.load", asdict(Load(target.url, target.key, watch=target.watch, **load)))
