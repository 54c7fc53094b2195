"""`manage.py rollups`: folds what is new in the ledger, rebuilds, or proves that both are equal."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import rollups

QUARTER_MINUTES = 15


class Command(BaseCommand):
    help = "Bring the roll-ups up to the ledger. Celery beat does the same every few seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--rebuild", action="store_true", help="Make the buckets anew from the ledger first."
        )
        parser.add_argument(
            "--from", dest="starts", type=quarter_hour, help="Rebuild from here: 2026-11-01T00:00Z."
        )
        parser.add_argument(
            "--to", dest="ends", type=quarter_hour, help="Rebuild to here. Exclusive."
        )
        parser.add_argument(
            "--check", action="store_true", help="Fail where the roll-ups are not the ledger."
        )

    def handle(
        self,
        *args: Any,
        rebuild: bool,
        starts: datetime | None,
        ends: datetime | None,
        check: bool,
        **options: Any,
    ) -> None:
        if rebuild:
            self.stdout.write(f"{rollups.rebuild(starts, ends):,} buckets made anew")
        elif starts or ends:
            raise CommandError("--from and --to are for --rebuild.")
        self.stdout.write(f"{rollups.fold():,} ledger lines folded")
        if check:
            self._check()

    def _check(self) -> None:
        differences = rollups.differences()
        for difference in differences:
            self.stderr.write(difference)
        if differences:
            raise CommandError(
                f"{len(differences)} differences (no more than {rollups.DIFFERENCES_SHOWN_MAX} are"
                " shown): --rebuild makes the roll-ups equal to the ledger."
            )
        self.stdout.write("the roll-ups equal the ledger, to the pico-dollar and the token")


def quarter_hour(text: str) -> datetime:
    """A moment with its offset from UTC, on a quarter hour."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.minute % QUARTER_MINUTES or moment.second:
        raise ValueError("neither a quarter hour, nor one with its offset from UTC")
    return moment
