"""`manage.py reconcile BILL`: corrects the ledger to a provider's own bill."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
from django.core.management.base import BaseCommand, CommandError

from billing.reconciliation import BilledAttempt, estimated_attempts, reconcile
from runestone.lib.usage import Usage


class BillLine(msgspec.Struct):
    """What is read of a line; quantities as OpenAI counts them. `attempt` is the id we sent."""

    attempt: UUID | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


class Command(BaseCommand):
    help = (
        "Correct ledger lines to a provider's bill: a file of JSON lines with attempt, "
        "prompt_tokens, cached_tokens, completion_tokens and reasoning_tokens."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("bill", help="The file's path, or - for standard input.")
        parser.add_argument(
            "--complete",
            action="store_true",
            help="The bill has every call: estimated lines that are not on it become $0.",
        )

    def handle(self, *args: Any, bill: str, complete: bool, **options: Any) -> None:
        billed = list(_read(bill))
        on_bill = {line.attempt_id for line in billed}
        unbilled = set(estimated_attempts()) - on_bill if complete else set()
        outcome = reconcile(billed, unbilled=unbilled)
        self.stdout.write(
            f"{len(billed)} lines on the bill, {len(outcome.corrected)} ledger lines corrected, "
            f"{len(outcome.unknown)} unknown to the ledger"
        )
        for attempt in outcome.unknown:
            self.stderr.write(f"billed but not in the ledger: {attempt}")


def _read(bill: str) -> Iterator[BilledAttempt]:
    with sys.stdin.buffer if bill == "-" else open(bill, "rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                line = msgspec.json.decode(text, type=BillLine)
                usage = Usage(
                    input_tokens=line.prompt_tokens,
                    cached_input_tokens=line.cached_tokens,
                    output_tokens=line.completion_tokens,
                    reasoning_tokens=line.reasoning_tokens,
                )
            except (msgspec.DecodeError, ValueError) as error:
                raise CommandError(f"line {number} of the bill: {error}") from None
            if line.attempt is not None:
                yield BilledAttempt(line.attempt, usage)
