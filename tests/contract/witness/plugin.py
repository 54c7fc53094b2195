"""A pytest plugin: judges at the end what the gateways of the run have answered.

Loaded with `-p tests.contract.witness.plugin`. Each of pytest-xdist's workers judges the replies of
its own gateways, and hands its complaints to the process that started it.
"""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.contract.witness.record import DIRECTORY, TEST, TEST_BYTES, Recorded

# Told of a run; more have the same cause, most of the time.
COMPLAINTS_TOLD_MAX = 40
_OUTPUT = "witness"


class Court:
    """Belongs to one process of pytest."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="runestone-witness-"))
        os.environ[DIRECTORY] = str(self._directory)
        self._test = os.open(self._directory / TEST, os.O_CREAT | os.O_WRONLY)
        self._complaints: list[str] = []
        self._tally: Counter[str] = Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        os.pwrite(self._test, item.nodeid.encode()[:TEST_BYTES].ljust(TEST_BYTES), 0)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """One of xdist's workers is done."""
        told = getattr(node, "workeroutput", {}).get(_OUTPUT, {})
        self._complaints += told.get("complaints", ())
        self._tally.update(told.get("tally", {}))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._judge()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = {"complaints": self._complaints, "tally": dict(self._tally)}
        elif self._complaints:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._tally:
            told = ", ".join(f"{count} {what}" for what, count in sorted(self._tally.items()))
            terminalreporter.write_line(f"witness: {told}")
        if not self._complaints:
            return
        terminalreporter.section("replies that are not as described", red=True)
        for complaint in sorted(self._complaints)[:COMPLAINTS_TOLD_MAX]:
            terminalreporter.write_line(complaint)
        terminalreporter.write_line(f"{len(self._complaints)} replies are not as described")

    def pytest_unconfigure(self) -> None:
        os.close(self._test)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _judge(self) -> None:
        recorded = Recorded(self._directory)
        self._tally.update(recorded.tally)
        if not recorded.seen:
            return
        # Only now: a run without gateways need not load the judges.
        from tests.contract.witness.verdicts import complaints

        self._tally["shapes"] += len(recorded.seen)
        self._complaints += complaints(recorded.seen)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Court(), "runestone-witness")
