"""`manage.py propose_prices SOURCE`: holds our prices against published ones, and proposes.

It joins the routes, which providers knows, with the prices, which billing knows.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from billing.models import TOKENS_PER_PRICE, PriceProposal
from billing.proposals import Outcome, Way, propose
from providers.models import Route
from runestone.lib.published import Source, SourceError, open_source, pairs, vendors

# So many models are named where the same is said of several.
NAMED_MAX = 3


class Command(BaseCommand):
    help = (
        "Compare the prices of all routes with those that SOURCE publishes, and write proposals "
        "for people with the right to change prices. No price changes by this."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "source", help="A JSON file of models, or genai-prices for the installed package."
        )
        parser.add_argument("--upstream", metavar="SLUG", help="Of this upstream only.")
        parser.add_argument(
            "--provider",
            action="append",
            default=[],
            metavar="UPSTREAM=PROVIDER",
            help="The source's name for an upstream's vendor, where it is not the slug.",
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="NAME=SOURCE_NAME",
            help="What an upstream's name for a model stands for in the source.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Show, and write nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            source = open_source(options["source"])
            desk = Desk(source, vendors(source, options["provider"]), pairs(options["map"]))
            ways = list(desk.ways(options["upstream"]))
        except SourceError as error:
            raise CommandError(str(error)) from None
        with transaction.atomic():
            outcome = propose(ways)
            transaction.set_rollback(bool(options["dry_run"]))
        self._tell(outcome, desk, is_dry=options["dry_run"])

    def _tell(self, outcome: Outcome, desk: "Desk", *, is_dry: bool) -> None:
        for proposal in outcome.proposed:
            self.stdout.write(_words(proposal))
        for price in outcome.only_ours:
            self.stdout.write(f"only here: {price}")
        for what, names in desk.told.items():
            more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
            self.stdout.write(f"{what}: {', '.join(names[:NAMED_MAX])}{more}")
        self.stdout.write(
            f"{len(outcome.proposed)} proposed, {outcome.agreeing} agree, "
            f"{outcome.waiting} wait already, {outcome.rejected} were rejected before, "
            f"{outcome.superseded} old proposals superseded"
        )
        done = "Nothing was written." if is_dry else "No price has changed: decide in the admin."
        self.stdout.write(done)


class Desk:
    """Looks up what a source publishes of each route; never guesses what a name means."""

    def __init__(
        self, source: Source, providers: Mapping[str, str], names: Mapping[str, str]
    ) -> None:
        self._source = source
        self._providers = providers
        self._names = names
        # What there is to tell, and of which models.
        self.told: dict[str, list[str]] = {}

    def ways(self, upstream: str | None) -> Iterator[Way]:
        routes = Route.objects.select_related("model", "upstream")
        if upstream is not None:
            routes = routes.filter(upstream__slug=upstream)
        for route in routes.order_by("upstream__slug", "model__name"):
            way = self._way(route)
            if way is not None:
                yield way

    def _way(self, route: Route) -> Way | None:
        theirs, slug = route.upstream_model, route.upstream.slug
        here = f"{slug}/{theirs}"
        wanted = self._names.get(theirs, theirs)
        published = self._source.model(self._providers.get(slug, slug), wanted)
        if published is None:
            self._tell("not in the source", here)
            return None
        if not published.is_certain:
            targets = " or ".join(published.stands_for)
            self._tell("needs a mapping (--map)", f"{here} (the source prices it as {targets})")
            return None
        for words in published.left_out:
            self._tell(f"left out: {words}", here)
        return Way(slug, route.model.name, published)

    def _tell(self, what: str, of: str) -> None:
        self.told.setdefault(what, []).append(of)


def _words(proposal: PriceProposal) -> str:
    tier = f" {proposal.service_tier}" if proposal.service_tier else ""
    step = f" from {proposal.context_from:,} tokens" if proposal.context_from else ""
    present = _usd(proposal.present_usd, proposal.present_per) if proposal.present_per else "none"
    proposed = _usd(proposal.proposed_usd, proposal.per)
    doubt = f" ({proposal.note})" if proposal.note else ""
    return f"proposed: {proposal}{tier}{step}: {present} -> {proposed}{doubt}"


def _usd(usd: Any, per: int) -> str:
    unit = "1M" if per == TOKENS_PER_PRICE else f"{per:,}"
    return f"${usd.normalize():f} per {unit}"
