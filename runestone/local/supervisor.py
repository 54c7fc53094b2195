"""Brings a stack up in order, watches over it, and takes it down in order.

Everything happens in one thread. A signal only sets a flag, which every wait looks at, so that
nothing is ever interrupted between starting a process and knowing of it.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from runestone.local.console import Console
from runestone.local.echo import Echo
from runestone.local.errors import (
    LockedError,
    NotReadyError,
    ProcessDiedError,
    StackError,
    StepFailedError,
)
from runestone.local.lock import Lock
from runestone.local.paths import Home
from runestone.local.ports import Port, require_free
from runestone.local.process import Process, Program

POLL_SECONDS = 0.05
READY_POLL_SECONDS = 0.2
SERVER_SECONDS_MAX = 60.0
STEP_SECONDS_MAX = 300.0
READY_SECONDS_MAX = 60.0
# After a kill -9 the predecessor's processes may still be ending, and hold its ports.
PREDECESSOR_SECONDS_MAX = 15.0
LAST_LINES = 20
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Server(Protocol):
    name: str
    process: Process | None

    def start(self) -> Process: ...
    def is_ready(self) -> bool: ...
    def prepare(self) -> None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True)
class Step:
    """A program that has to end well before anything else starts."""

    program: Program
    doing: str
    then: Callable[[str], None] | None = None  # takes what it printed, which no log gets to see


@dataclass(frozen=True)
class Plan:
    """What a stack consists of."""

    home: Home
    ports: tuple[Port, ...]
    servers: tuple[Server, ...]  # started in this order, stopped in the opposite one
    steps: tuple[Step, ...]
    services: tuple[Program, ...]  # started in this order
    stopping: tuple[str, ...]  # the services' names in the order they are stopped
    what_is_missing: Callable[[], str | None]
    when_ready: Callable[[], str]


class _Stopped(Exception):
    pass


class Supervisor:
    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._lock = Lock(plan.home.data / "up.lock")
        self._servers: list[Server] = []
        self._services: dict[str, Process] = {}
        self._echoes: list[Echo] = []
        self._signal: int | None = None
        self.was_up = False

    def run(self) -> int:
        """The exit code of the whole: 0 only if it was up and then asked to stop."""
        self._listen_to_signals()
        try:
            self._bring_up()
            self._watch()
        except _Stopped:
            pass
        except StackError as error:
            # A Ctrl-C may also hit a child that has no session of its own yet.
            if self._signal is None:
                self._console.fail(str(error))
        finally:
            self._take_down()
        if self._signal is None:
            return 1
        return 0 if self.was_up else 128 + self._signal

    def _bring_up(self) -> None:
        self._plan.home.data.mkdir(parents=True, exist_ok=True)
        self._require_no_other()
        for server in self._plan.servers:
            self._start_server(server)
        for step in self._plan.steps:
            self._run_step(step)
        for program in self._plan.services:
            self._start_service(program)
        self._wait_until_ready()
        self.was_up = True
        self._console.say(self._plan.when_ready())

    def _require_no_other(self) -> None:
        try:
            killed = self._lock.acquire()
        except LockedError as locked:
            raise LockedError(
                f"Runestone is already running here, as process {locked.holder}."
                f" Stop it with Ctrl-C there, or: kill {locked.holder}",
                locked.holder,
            ) from None
        self._lock.name_holder(os.getpid())
        patience = PREDECESSOR_SECONDS_MAX if killed else 0.0
        for port in self._plan.ports:
            require_free(port, patience, self._pause)

    def _start_server(self, server: Server) -> None:
        with self._console.step(server.name):
            process = server.start()
            self._servers.append(server)
            self._wait(server.is_ready, SERVER_SECONDS_MAX, process)
            server.prepare()

    def _run_step(self, step: Step) -> None:
        with self._console.step(step.doing):
            process = Process(step.program, self._log(step.program), keep_output=bool(step.then))
            try:
                self._wait(lambda: not process.is_alive, STEP_SECONDS_MAX)
            finally:
                process.stop()
            if process.failed:
                raise StepFailedError(_last_words(process))
            if step.then:
                step.then(process.output())

    def _start_service(self, program: Program) -> None:
        process = Process(program, self._log(program))
        self._services[program.name] = process
        self._echoes.append(Echo(program.name, process.log))

    def _wait_until_ready(self) -> None:
        names = ", ".join(program.name for program in self._plan.services)
        with self._console.step(names):
            self._wait(
                lambda: self._plan.what_is_missing() is None,
                READY_SECONDS_MAX,
                poll_seconds=READY_POLL_SECONDS,
            )

    def _wait(
        self,
        is_done: Callable[[], bool],
        seconds_max: float,
        *also: Process,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        deadline = time.monotonic() + seconds_max
        while not is_done():
            self._require_all_alive(*also)
            if time.monotonic() > deadline:
                missing = self._plan.what_is_missing() if self._services else ""
                words = "\n".join(_last_words(process) for process in also)
                raise NotReadyError(
                    f"Not ready after {seconds_max:.0f} seconds. {missing or ''}{words}"
                )
            self._pause(poll_seconds)

    def _watch(self) -> None:
        while True:
            self._require_all_alive()
            self._pause(POLL_SECONDS)

    def _require_all_alive(self, *also: Process) -> None:
        servers = [server.process for server in self._servers if server.process]
        for process in (*also, *self._services.values(), *servers):
            if not process.is_alive:
                raise ProcessDiedError(_last_words(process))

    def _pause(self, seconds: float) -> None:
        self._tell_news()
        if self._signal is not None:
            raise _Stopped
        time.sleep(seconds)

    def _tell_news(self) -> None:
        for echo in self._echoes:
            for line in echo.news():
                self._console.say(line)

    def _take_down(self) -> None:
        if self._services or self._servers:
            self._console.say()
            with self._console.step("stopping", done="stopped"):
                self._stop_services()
                for server in reversed(self._servers):
                    server.stop()
        self._lock.release()
        for number in STOP_SIGNALS:
            # A last impatient Ctrl-C must not turn a clean stop into a failure.
            signal.signal(number, signal.SIG_IGN)

    def _stop_services(self) -> None:
        for name in self._plan.stopping:
            if (process := self._services.get(name)) and not process.stop():
                self._console.say(f"    {name} had to be killed")

    def _log(self, program: Program) -> Path:
        return self._plan.home.logs / f"{program.name}.log"

    def _listen_to_signals(self) -> None:
        for number in STOP_SIGNALS:
            # Who starts us with nohup wants us to outlive the terminal.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._remember_signal)

    def _remember_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = number


def _last_words(process: Process) -> str:
    lines = process.last_lines(LAST_LINES)
    said = "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"
    return f"{process.program.name} {process.fate}. Its last lines, from {process.log}:\n{said}"
