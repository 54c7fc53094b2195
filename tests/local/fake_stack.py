"""A supervisor over a stack of small sleepers: `python -m tests.local.fake_stack <data> <case>`.

It has the same parts as the real one, and comes up in a fraction of a second.
"""

import os
import socket
import sys
from pathlib import Path

from runestone.local import supervisor
from runestone.local.console import Console
from runestone.local.paths import Home
from runestone.local.ports import Port
from runestone.local.postgres import Postgres
from runestone.local.process import Program
from runestone.local.supervisor import Plan, Step, Supervisor
from runestone.local.valkey import Valkey

# Tells the order of stopping, and has a child of its own as a Celery worker does.
SERVICE = """
import os, signal, subprocess, sys, time
parent = os.getppid()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", sys.argv[1]])
def stop(*_):
    open(sys.argv[1] + "/stopped", "a").write(sys.argv[2] + "\\n")
    if os.getppid() != parent:
        child.kill()  # or else the supervisor sweeps it
    sys.exit()
signal.signal(signal.SIGTERM, stop)
open(sys.argv[1] + "/" + sys.argv[2], "w").close()
time.sleep(60)
"""
DIES = "import sys, time; time.sleep(0.3); print('a last word', file=sys.stderr); sys.exit(3)"
DEAF = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1] + "/" + sys.argv[2], "w").close()
time.sleep(60)
"""
WARNS = """
import sys, time
print("2026-01-01 00:00:00,000 INFO    x: whisper", file=sys.stderr)
print("2026-01-01 00:00:00,000 WARNING x: shout", file=sys.stderr, flush=True)
time.sleep(60)
"""
SEED = "import sys; print('the secret'); print('words for the log', file=sys.stderr)"
SERVICES = ("mock", "gateway", "worker", "beat")


def main(data: Path, case: str) -> int:
    home = Home(data=data, sockets=data.parent / "s")
    data.mkdir(exist_ok=True)

    def program(name: str, code: str, seconds_max: float = 10) -> Program:
        argv = (sys.executable, "-c", code, str(data), name)
        return Program(name, argv, dict(os.environ), stop_seconds_max=seconds_max)

    codes = dict.fromkeys(SERVICES, SERVICE)
    codes |= {"dies": {"worker": DIES}, "warns": {"gateway": WARNS}}.get(case, {})
    programs = [program(name, codes[name]) for name in SERVICES]
    if case == "deaf":
        programs[1] = program("gateway", DEAF, seconds_max=0.3)
    ready = {
        "never ready": lambda: "the gateway is shy",
        "dies": lambda: None,
        "warns": lambda: None,
    }.get(case, lambda: None if all((data / name).exists() for name in SERVICES) else "wait")
    if case == "never ready":
        supervisor.READY_SECONDS_MAX = 0.3
    console = Console()
    failing = "import sys; sys.exit('no')"
    plan = Plan(
        home=home,
        ports=(Port("127.0.0.1", int(os.environ.get("FAKE_PORT", free_port())), "PORT"),),
        servers=(Postgres(home, durable=False), Valkey(home)) if case == "servers" else (),
        steps=(
            Step(program("step", failing if case == "step fails" else ""), "a"),
            Step(program("seed", SEED), "b", lambda output: console.say(f"seeded: {output}")),
        ),
        services=tuple(programs),
        stopping=("gateway", "worker", "beat", "mock"),
        what_is_missing=ready,
        when_ready=lambda: "READY",
    )
    return Supervisor(plan, console).run()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
