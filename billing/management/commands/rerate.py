"""`manage.py rerate UPSTREAM MODEL`: what corrected prices change, and the corrections for it."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing import rerating
from billing.rerating import Scope, Sum
from runestone.lib.money import format_usd


class Command(BaseCommand):
    help = (
        "Rate past calls anew, at the prices that are valid for their moment. Shows the "
        "differences by tenant; with --post they are posted as corrections."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("upstream", help="The upstream's slug.")
        parser.add_argument("model", help="The model's canonical name.")
        parser.add_argument("--since", required=True, help="ISO 8601; UTC where no zone is given.")
        parser.add_argument("--until", help="Exclusive; now, where it is not given.")
        parser.add_argument("--post", action="store_true", help="Post the corrections.")

    def handle(
        self,
        *args: Any,
        upstream: str,
        model: str,
        since: str,
        until: str | None,
        post: bool,
        **options: Any,
    ) -> None:
        scope = Scope(upstream, model, _moment(since), _moment(until) if until else timezone.now())
        sums = rerating.post(scope) if post else rerating.preview(scope)
        for tenant, each in sorted(sums.items()):
            self.stdout.write(f"{tenant}: {_told(each)}")
        total = sum(each.difference_pico for each in sums.values())
        self.stdout.write(f"{'posted' if post else 'would be posted'}: {_signed(total)}")


def _told(each: Sum) -> str:
    unpriced = f", {each.unpriced} of them without a price so far" if each.unpriced else ""
    becomes = format_usd(each.was_pico + each.difference_pico)
    return (
        f"{each.attempts} attempts{unpriced}; {format_usd(each.was_pico)} becomes {becomes} "
        f"({_signed(each.difference_pico)})"
    )


def _signed(pico: int) -> str:
    return ("+" if pico >= 0 else "") + format_usd(pico)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is no moment in ISO 8601") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
