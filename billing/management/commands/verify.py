"""`manage.py verify`: whether the books are right, told to a person or, as JSON, to a program."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from billing.verify import FINDINGS_TOLD_MAX, Report, Verdict, verify

FAULTY = 1


class Command(BaseCommand):
    help = (
        "Verify the books against one snapshot: budgets, ledger lines, holds and guards. "
        "Changes nothing. The exit code is 0 if all checks hold, and 1 if there are faults."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object, for programs.")
        parser.add_argument(
            "--since",
            type=_moment,
            help="Only calls admitted since this date or moment (ISO 8601, UTC), and the budget "
            "windows that were open then or later. Corrections belong to their original's moment.",
        )

    def handle(self, *args: Any, json: bool, since: datetime | None, **options: Any) -> None:
        if json:
            report = verify(since)
            self.stdout.write(msgspec.json.format(msgspec.json.encode(_told(report))).decode())
        else:
            report = verify(since, tell=self._tell)
            self._sum_up(report)
        if report.faults:
            sys.exit(FAULTY)

    def _tell(self, verdict: Verdict) -> None:
        """A check's verdict, as soon as there is one: so a person sees how far it is."""
        word = self.style.SUCCESS("holds") if verdict.holds else self.style.ERROR("FAULT")
        seconds = f"{verdict.took_ms / 1_000:.1f} s"
        self.stdout.write(f"{word}  {verdict.name:4}{verdict.title:40}{seconds:>9}")
        if not verdict.holds:
            self.stdout.write(f"           It ought to be so: {verdict.proves}")
            for finding in verdict.findings:
                if not finding.reason:
                    self.stdout.write(f"           {finding.subject}: {finding.problem}")
            if (more := verdict.faults - FINDINGS_TOLD_MAX) > 0:
                self.stdout.write(f"           and {more:,} more")
        for reason, count in verdict.departures.items():
            self.stdout.write(f"           {count:,} explained: {reason}")
        self.stdout.flush()

    def _sum_up(self, report: Report) -> None:
        since = "" if report.since is None else f" admitted since {_utc(report.since)},"
        seconds = f"{report.took_ms / 1_000:.1f} s"
        self.stdout.write(
            f"\n{report.lines:,} ledger lines,{since} as of {_utc(report.started)}, in {seconds}"
        )
        explained = f"{report.departures:,} departures are explained."
        if report.faults:
            self.stdout.write(
                self.style.ERROR(f"The books are WRONG: {report.faults:,} faults.")
                + f" {explained}"
            )
        else:
            self.stdout.write(self.style.SUCCESS("The books are right.") + f" {explained}")


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _told(report: Report) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(report)
    return {"holds": not report.faults, "faults": report.faults} | told


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date or moment of ISO 8601") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
