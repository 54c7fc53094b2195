"""`manage.py import_models SOURCE`: brings the catalogue's facts to what is published."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from providers.facts import Facts, Finding, Verdict, apply, findings, published_for
from providers.models import Model
from runestone.lib.published import SourceError, open_source, vendors


class Command(BaseCommand):
    help = (
        "Compare the models' facts (family, capabilities, context window, longest output, last "
        "day) with those that SOURCE publishes, and show what differs. Nothing is deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "source", help="A JSON file of models, or genai-prices for the installed package."
        )
        parser.add_argument("--apply", action="store_true", help="Write what differs.")
        parser.add_argument(
            "--force", action="store_true", help="With --apply: also over what was set by hand."
        )
        parser.add_argument(
            "--provider",
            action="append",
            default=[],
            metavar="UPSTREAM=PROVIDER",
            help="The source's name for an upstream's vendor, where it is not the slug.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["force"] and not options["apply"]:
            raise CommandError("--force needs --apply")
        try:
            source = open_source(options["source"])
            names = vendors(source, options["provider"])
            found = [(model, published_for(source, model, names)) for model in _models()]
        except SourceError as error:
            raise CommandError(str(error)) from None
        known = [(model, facts) for model, facts in found if facts is not None]
        for model, facts in known:
            self._tell(model, facts)
        strangers = [model.name for model, facts in found if facts is None]
        if strangers:
            self.stdout.write(f"not in the source: {', '.join(strangers)}")
        if options["apply"]:
            with transaction.atomic():
                for model, facts in known:
                    apply(model, facts, force=options["force"])
            self.stdout.write(f"Applied to {len(known)} models.")
        else:
            self.stdout.write("Nothing was written: --apply does it.")

    def _tell(self, model: Model, facts: Facts) -> None:
        for doubt in facts.doubts:
            self.stdout.write(f"{model}: doubtful and left out: {doubt}")
        for finding in findings(model, facts):
            if finding.verdict == Verdict.CHANGES:
                self.stdout.write(f"{model}: {finding.field}: {_change(finding)}")
            elif finding.verdict == Verdict.BY_HAND:
                self.stdout.write(
                    f"{model}: {finding.field} stays, for no import wrote it: {_change(finding)}"
                )


def _models() -> list[Model]:
    return list(Model.objects.order_by("name"))


def _change(finding: Finding) -> str:
    if isinstance(finding.published, list):
        before, after = set(finding.present), set(finding.published)
        return " ".join(
            [f"+{each}" for each in sorted(after - before)]
            + [f"-{each}" for each in sorted(before - after)]
        )
    return f"{_words(finding.present)} -> {_words(finding.published)}"


def _words(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:,}" if isinstance(value, int) else value or "none"
