"""The programme, in order. `python -m bench --help` tells its options."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import ledger, machine, rounds, servers
from bench.ledger import MODEL, PACED, STREAM, TRANSLATED, Bill
from bench.report import number, percent, table
from bench.rounds import Played, Round, Target
from runestone.local.mock_provider.process import MockProvider

CONNECTIONS = 64
PACED_STREAMS = 256
LOW_RATE = 50.0
FIRST_TOKEN_RATE = 10.0
HOLDS_RATE = 1_000.0
HOLDS_AT_ONCE = (64, 500)
# A paced stream may take this much longer than straight from the provider.
KEPT_FACTOR = 1.1

MOCK, RELAY, RUNESTONE, LITELLM = "mock provider, direct", "bare relay", "Runestone", "LiteLLM"

QUESTION = (
    "Tell me in one sentence why a ledger that is only ever appended to can be trusted more than "
    "one whose lines may be changed afterwards."
)


@dataclass
class Plan:
    """How long everything takes."""

    rounds: int = 3
    seconds: float = 6.0
    paced_seconds: float = 6.0
    low_seconds: float = 10.0
    money_seconds: float = 5.0


QUICK = Plan(rounds=1, seconds=2.0, paced_seconds=2.5, low_seconds=2.0, money_seconds=1.0)


@dataclass
class Goals:
    """Ratios to reach, each with what it came to."""

    rows: list[list[str]] = field(default_factory=list)

    def check(self, name: str, goal: str, value: float, unit: str, *, met: bool) -> None:
        self.rows.append([name, goal, f"{number(value)} {unit}", "yes" if met else "no"])


class Bench:
    def __init__(self, plan: Plan, only: str) -> None:
        self._plan = plan
        self._only = only
        self._stack = ExitStack()
        self._goals = Goals()
        self._audits: list[list[str]] = []
        self._all_right = True

    def run(self) -> bool:
        server_cores, other_cores = servers.server_and_other_cores()
        self._server_cores = server_cores
        if other_cores:
            machine.pin(other_cores)
        with self._stack:
            self._ledger, fsync_ms = self._stack.enter_context(ledger.running())
            self._tell_machine(fsync_ms, server_cores, other_cores)
            self._start()
            self._measure()
        if self._audits:
            print(table("Every answer against ledger and bill", _AUDIT_HEADS, self._audits))
        if self._goals.rows:
            print(table("Goals", ["goal", "wanted", "is", "met"], self._goals.rows))
        return self._all_right

    def _tell_machine(self, fsync_ms: float, server: list[int], others: list[int]) -> None:
        for line in machine.description():
            print(line)
        print(f"{self._ledger.settings()}; its disk writes a page through in {fsync_ms:.2f} ms")
        if server:
            print(f"pinned: the server under test on core {server}, all else on {others}")
        else:
            print("not pinned: the servers share the cores with the load and with Postgres")

    def _start(self) -> None:
        mock = self._stack.enter_context(MockProvider())
        key = self._ledger.seed(mock.url)
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        cores = self._server_cores
        asked = [
            servers.relay(mock.url, cores),
            servers.runestone(key, cores),
            servers.litellm(mock.url, ledger.MODELS, directory, cores),
        ]
        around = {"mock": mock.pid, "postgres": self._ledger.postgres.process.pid}  # type: ignore[union-attr]
        self._targets = [Target(MOCK, mock.url, "unused", {"server": mock.pid})]
        for server in filter(None, asked):
            server.start(chat(MODEL))
            self._stack.callback(server.stop)
            watch = {"server": server.pid, **around}
            self._targets.append(Target(server.name, server.url, server.key, watch))
        if len(self._targets) < 4:
            print(f"LiteLLM is not here: {servers.LITELLM_VENV} names a venv with litellm[proxy]")
        else:
            print(f"LiteLLM {servers.litellm_version()}, its master key only, no database")
        self._bill = Bill(mock.bill_path)
        self._ledger.begin_audit(self._bill)

    def _measure(self) -> None:
        parts: dict[str, Callable[[], None]] = {
            "json": self._json,
            "stream": self._stream,
            "dialects": self._dialects,
            "paced": self._paced,
            "low": self._low_rate,
            "first": self._first_token,
            "money": self._money,
        }
        for name, part in parts.items():
            if not self._only or name in self._only.split(","):
                part()

    # One section each.

    def _json(self) -> None:
        load: dict[str, Any] = {
            "body": chat(MODEL),
            "connections": CONNECTIONS,
            "seconds": self._plan.seconds,
        }
        best = rounds.best(self._play("JSON", **load), lambda one: one.rate)
        rows = [_throughput_row(one, one.rate, "requests", best, _rate) for one in best.values()]
        print(table(f"JSON relay, {CONNECTIONS} connections", ["", "req/s", *_COST_HEADS], rows))
        self._check_shares("answers", best, _rate, "requests", floor=0.5, peer=30)

    def _stream(self) -> None:
        body = chat(STREAM, stream=True)
        load: dict[str, Any] = {
            "body": body,
            "connections": CONNECTIONS,
            "seconds": self._plan.seconds,
        }
        best = rounds.best(self._play("streams", **load), lambda one: one.event_rate)
        rows = [
            _throughput_row(one, one.event_rate, "events", best, _event_rate)
            for one in best.values()
        ]
        title = f"SSE relay, {CONNECTIONS} streams of 50 chunks, unpaced (CPU per chunk)"
        print(table(title, ["", "chunks/s", *_COST_HEADS], rows))
        self._check_shares("chunks", best, _event_rate, "events", floor=0.4, peer=40)

    def _dialects(self) -> None:
        """The same stream from upstreams of other wires, against the one that is passed on."""
        ours = next(target for target in self._targets if target.name == RUNESTONE)
        bodies = {"openai": STREAM, **TRANSLATED}
        played: Played = {dialect: [] for dialect in bodies}
        for _ in range(self._plan.rounds):
            for dialect, model in bodies.items():
                load: dict[str, Any] = {
                    "body": chat(model, stream=True),
                    "connections": CONNECTIONS,
                    "seconds": self._plan.seconds,
                }
                [one] = self._play(dialect, targets=[ours], number_of_rounds=1, **load)[RUNESTONE]
                played[dialect].append(one)
        cheapest = {
            dialect: min(one.cpu_us("server", "events") for one in ones)
            for dialect, ones in played.items()
        }
        passed_on = cheapest["openai"]
        rows = [
            [dialect, number(max(map(_event_rate, ones))), number(cost), percent(cost / passed_on)]
            for (dialect, ones), cost in zip(played.items(), cheapest.values(), strict=True)
        ]
        heads = ["upstream's wire", "chunks/s", "CPU µs a chunk", "of a chunk passed on"]
        print(table(f"Translated streams, {CONNECTIONS} at once, 50 chunks each", heads, rows))
        times = cheapest["anthropic"] / passed_on
        self._goals.check("Anthropic's chunk, by CPU", "≤ 2x", times, "x", met=times <= 2)

    def _paced(self) -> None:
        body = chat(PACED, stream=True)
        load: dict[str, Any] = {
            "body": body,
            "connections": PACED_STREAMS,
            "seconds": self._plan.paced_seconds,
        }
        played = self._play("paced", number_of_rounds=1, **load)
        direct = played[MOCK][0].milliseconds("p95")
        rows = []
        for [one] in played.values():
            took = one.milliseconds("p95")
            kept = "yes" if took <= direct * KEPT_FACTOR else "no"
            costs = (one.cpu_us("server", "events"), one.busy("server") * 100)
            cells = (one.event_rate, one.milliseconds("p50"), took, *costs)
            rows.append([one.target, *map(number, cells), kept])
        heads = ["", "chunks/s", "p50 ms", "p95 ms", "CPU µs", "server core busy %", "kept"]
        print(table(f"{PACED_STREAMS} streams of 50 chunks, 20 ms apart", heads, rows))

    def _low_rate(self) -> None:
        played = self._low("low rate", LOW_RATE, chat(MODEL), "milliseconds")
        if RUNESTONE in played:
            added = _lowest(played[RUNESTONE], "p50") - _lowest(played[MOCK], "p50")
            self._goals.check("added latency p50", "≤ 1.5 ms", added, "ms", met=added <= 1.5)

    def _first_token(self) -> None:
        body, of = chat(PACED, stream=True), "first_milliseconds"
        played = self._low("first token", FIRST_TOKEN_RATE, body, of)
        if RUNESTONE in played:
            added = _lowest(played[RUNESTONE], "p50", of) - _lowest(played[MOCK], "p50", of)
            self._goals.check("time to first token added", "≤ 2 ms", added, "ms", met=added <= 2)

    def _low(self, name: str, rate: float, body: dict[str, Any], of: str) -> Played:
        load: dict[str, Any] = {
            "body": body,
            "connections": 4,
            "rate": rate,
            "seconds": self._plan.low_seconds,
        }
        played = self._play(name, **load)
        rows = []
        for target, ones in played.items():
            times = [_lowest(ones, quantile, of) for quantile in ("p50", "p95", "p99")]
            added = [t - _lowest(played[MOCK], q, of) for t, q in zip(times, ("p50", "p95"))]  # noqa: B905
            rows.append([target, *map(number, times), *map(number, added)])
        heads = ["", "p50 ms", "p95 ms", "p99 ms", "added p50", "added p95"]
        print(table(f"Latency, {name}: {rate:.0f} requests/s, open loop", heads, rows))
        return played

    def _money(self) -> None:
        accounts = [[a.tenant_id, a.project_id, a.api_key_id] for a in self._ledger.accounts]
        ways: list[dict[str, Any]] = [{"concurrency": each} for each in HOLDS_AT_ONCE]
        ways.append({"rate": HOLDS_RATE})
        rows = []
        for name, chosen in (("100 tenants", accounts), ("one hot tenant", accounts[:1])):
            for turns in ways:
                seen = [self._turns(chosen, turns) for _ in range(self._plan.rounds)]
                one = max(seen, key=lambda one: one["rate"])
                at = f"{turns.get('concurrency', '')}" or f"{HOLDS_RATE:,.0f}/s"
                times = (one["milliseconds"].get(q, 0.0) for q in ("p50", "p99"))
                costs = (one["cpu_us"], one["postgres_us"])
                rows.append([name, at, *map(number, (one["rate"], *times, *costs))])
        heads = ["", "at once", "calls/s", "hold p50 ms", "p99 ms", "CPU µs", "Postgres µs"]
        print(table("Money alone: a hold and a settle each, no HTTP", heads, rows))

    def _turns(self, accounts: Sequence[Any], turns: dict[str, Any]) -> dict[str, Any]:
        argument = {
            "accounts": accounts,
            "seconds": self._plan.money_seconds,
            "postgres_pid": self._ledger.postgres.process.pid,  # type: ignore[union-attr]
            **turns,
        }
        pinned = (
            {"preexec_fn": lambda: machine.pin(self._server_cores)} if self._server_cores else {}
        )
        return rounds.child("bench.money", argument, **pinned)

    # What they share.

    def _play(
        self,
        name: str,
        *,
        targets: Sequence[Target] | None = None,
        number_of_rounds: int | None = None,
        **load: Any,
    ) -> Played:
        def after(one: Round) -> None:
            if not one.is_clean:
                self._all_right = False
                print(f"{name}, {one.target}: {one.seen['statuses']}\n{one.seen['oddity']}")
            if one.target == RUNESTONE:
                self._audit(name, one)

        times = number_of_rounds or self._plan.rounds
        return rounds.play(targets or self._targets, times, after, **load)

    def _audit(self, name: str, one: Round) -> None:
        seen = self._ledger.audit(one.seen["answers"], self._bill)
        self._all_right = self._all_right and seen.is_right
        counts = (seen.answers, seen.lines, seen.billed, seen.differing, seen.holds_left)
        verdict = "yes" if seen.is_right else "NO"
        amount = f"${seen.amount_pico / 1e12:.6f}"
        self._audits.append([name, *(f"{count:,}" for count in counts), amount, verdict])

    def _check_shares(
        self,
        name: str,
        best: dict[str, Round],
        rate: Callable[[Round], float],
        per: str,
        *,
        floor: float,
        peer: float,
    ) -> None:
        ours = best[RUNESTONE]
        self._share(f"{name}/s of the bare relay", rate(ours) / rate(best[RELAY]), floor)
        cheaper = best[RELAY].cpu_us("server", per) / ours.cpu_us("server", per)
        self._share(f"{name} of the bare relay, by CPU", cheaper, floor)
        if LITELLM in best:
            self._times(f"{name}/s of LiteLLM", rate(ours) / rate(best[LITELLM]), peer)
            cheaper = best[LITELLM].cpu_us("server", per) / ours.cpu_us("server", per)
            self._times(f"{name} of LiteLLM, by CPU", cheaper, peer)

    def _share(self, name: str, share: float, goal: float) -> None:
        self._goals.check(name, f"≥ {percent(goal)}", share * 100, "%", met=share >= goal)

    def _times(self, name: str, times: float, goal: float) -> None:
        self._goals.check(name, f"≥ {goal:.0f}x", times, "x", met=times >= goal)


_COST_HEADS = [
    "of bare", "of LiteLLM", "p50 ms", "p95", "p99", "CPU µs", "of bare by CPU", "RSS MB",
    "server busy", "load+mock+Postgres busy", "Postgres µs",
    "strangers' cores",
]  # fmt: skip
_AUDIT_HEADS = [
    "round", "answers", "ledger lines", "bill lines", "differing", "holds left", "amount", "right",
]  # fmt: skip


def _throughput_row(
    one: Round, rate: float, per: str, best: dict[str, Round], of: Callable[[Round], float]
) -> list[str]:
    peer = best.get(LITELLM)
    others = sum(one.busy(process) for process in ("mock", "postgres", "load"))
    cheaper = best[RELAY].cpu_us("server", per) / one.cpu_us("server", per)
    return [
        one.target,
        number(rate),
        percent(rate / of(best[RELAY])),
        f"{number(rate / of(peer))}x" if peer else "",
        *(number(one.milliseconds(quantile)) for quantile in ("p50", "p95", "p99")),
        number(one.cpu_us("server", per)),
        # The provider's own CPU is not comparable: it does another work.
        "" if one.target == MOCK else percent(cheaper),
        number(one.seen["resident_mb"]["server"]),
        percent(one.busy("server")),
        percent(others),
        number(one.cpu_us("postgres", per)) if one.target == RUNESTONE else "",
        number(one.strange_cores),
    ]


def _rate(one: Round) -> float:
    return one.rate


def _event_rate(one: Round) -> float:
    return one.event_rate


def _lowest(ones: Sequence[Round], quantile: str, of: str = "milliseconds") -> float:
    return min(one.milliseconds(quantile, of) for one in ones)


def chat(model: str, *, stream: bool = False) -> dict[str, Any]:
    """A small, ordinary request. Who streams asks for the usage, as the gateway itself does."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a careful bookkeeper."},
            {"role": "user", "content": QUESTION},
        ],
        "temperature": 0.2,
        "max_tokens": 200,
    }
    return body | {"stream": True, "stream_options": {"include_usage": True}} if stream else body


def main() -> int:
    options = argparse.ArgumentParser("bench", description=__doc__)
    options.add_argument("--quick", action="store_true", help="one short round of everything")
    options.add_argument("--only", default="", help="json,stream,paced,low,first,money")
    options.add_argument("--rounds", type=int, help="alternating rounds, of which the best counts")
    options.add_argument("--seconds", type=float, help="of a round")
    chosen = options.parse_args()
    plan = QUICK if chosen.quick else Plan()
    plan.rounds = chosen.rounds or plan.rounds
    plan.seconds = chosen.seconds or plan.seconds
    try:
        return 0 if Bench(plan, chosen.only).run() else 1
    except subprocess.CalledProcessError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
