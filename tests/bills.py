"""What the mock provider billed, in the words of reconciliation."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from billing.reconciliation import BilledAttempt, Outcome, reconcile
from runestone.lib.usage import Usage

Bill = Iterable[Mapping[str, Any]]


def reconcile_with(bill: Bill, attempts: Collection[UUID]) -> Outcome:
    """Corrects the lines of `attempts` to the bill; what is not on it was not billed."""
    billed = [billed_attempt(line) for line in bill]
    return reconcile(billed, unbilled=set(attempts) - {each.attempt_id for each in billed})


def billed_attempt(line: Mapping[str, Any]) -> BilledAttempt:
    usage = Usage(input_tokens=line["prompt_tokens"], output_tokens=line["completion_tokens"])
    return BilledAttempt(UUID(line["attempt"]), usage)
