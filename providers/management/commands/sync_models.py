"""`manage.py sync_models`: holds the routes against what the upstreams offer."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from providers.models import Alias, Model, Route, Upstream
from providers.offers import CannotTell, Question, offered, plain_name

THREADS_MAX = 8
ROUTED, NOT_ROUTED, GONE = "routed", "not routed", "no longer offered"


class Line(NamedTuple):
    upstream: str
    their_name: str
    state: str
    our_model: str = ""


class Command(BaseCommand):
    help = (
        "Ask every enabled upstream which models it offers, and show them beside the routes. "
        "Fails if an upstream did not answer."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--upstream", metavar="SLUG", help="Ask this one only.")
        parser.add_argument(
            "--add",
            nargs="+",
            default=[],
            metavar="NAME",
            help="Of the one upstream: make a model and a route of these, both disabled.",
        )

    def handle(self, *args: Any, upstream: str | None, add: list[str], **options: Any) -> None:
        if add and not upstream:
            raise CommandError("--add needs --upstream: say whose models these are")
        upstreams = _upstreams(upstream)
        answers = _ask(upstreams)
        failures = {slug: why for slug, why in answers.items() if isinstance(why, CannotTell)}
        for each in upstreams:
            names = answers[each.slug]
            if not isinstance(names, CannotTell):
                for told in _add(each, add, names):
                    self.stdout.write(told)
                self._show(_compare(each, names))
        for slug, why in failures.items():
            self.stderr.write(f"{slug}: {why}")
        if failures:
            raise CommandError(f"{len(failures)} of {len(upstreams)} upstreams did not tell")

    def _show(self, lines: Iterable[Line]) -> None:
        rows = sorted(lines, key=lambda line: (line.state != GONE, line.state, line.their_name))
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for row in rows:
            padded = (text.ljust(width) for text, width in zip(row, widths, strict=False))
            self.stdout.write("  ".join((*padded, row.our_model)).rstrip())


def _upstreams(slug: str | None) -> list[Upstream]:
    found = Upstream.objects.filter(enabled=True)
    if slug is None:
        # The echo is this process itself.
        return list(found.exclude(dialect="echo"))
    if not found.filter(slug=slug).exists():
        raise CommandError(f"there is no enabled upstream {slug!r}")
    return list(found.filter(slug=slug))


def _ask(upstreams: Iterable[Upstream]) -> dict[str, list[str] | CannotTell]:
    """By slug. The database is read here; the threads have nothing but the questions."""
    answers: dict[str, list[str] | CannotTell] = {}
    questions: dict[str, Question] = {}
    for upstream in upstreams:
        try:
            questions[upstream.slug] = Question.to(upstream)
        except CannotTell as why:
            answers[upstream.slug] = why
    with ThreadPoolExecutor(THREADS_MAX) as threads:
        told = threads.map(_answer, questions.values())
        return answers | dict(zip(questions, told, strict=True))


def _answer(question: Question) -> list[str] | CannotTell:
    try:
        return offered(question)
    except CannotTell as why:
        return why


def _compare(upstream: Upstream, names: list[str]) -> Iterator[Line]:
    routes = upstream.routes.select_related("model")
    routed = {plain_name(upstream, route.upstream_model): route for route in routes}
    on_offer = {plain_name(upstream, name) for name in names}
    for name in names:
        route = routed.get(plain_name(upstream, name))
        if route is None:
            yield Line(upstream.slug, name, NOT_ROUTED)
        else:
            yield Line(upstream.slug, name, ROUTED, _ours(route))
    for name, route in routed.items():
        if name not in on_offer:
            yield Line(upstream.slug, route.upstream_model, GONE, _ours(route))


def _ours(route: Route) -> str:
    return route.model.name + ("" if route.enabled and route.model.enabled else " (disabled)")


@transaction.atomic
def _add(upstream: Upstream, chosen: Iterable[str], names: list[str]) -> list[str]:
    """Adds all that are chosen or none; gives what to tell of each."""
    return [_add_one(upstream, name, names) for name in chosen]


def _add_one(upstream: Upstream, name: str, names: list[str]) -> str:
    """Makes a disabled route, and a disabled model if there is none of this name."""
    if name not in names:
        raise CommandError(f"{upstream.slug} does not offer {name!r}")
    route = upstream.routes.filter(upstream_model=name).select_related("model").first()
    if route is not None:
        return f"{name} is routed already, from {route.model}"
    if Alias.objects.filter(name=name).exists():
        raise CommandError(f"{name} is another name of a model here: add the route in the admin")
    model, is_new = Model.objects.get_or_create(
        name=name, defaults={"owned_by": upstream.slug, "enabled": False}
    )
    if upstream.routes.filter(model=model).exists():
        raise CommandError(f"the model {name} has another route to {upstream.slug}")
    Route.objects.create(model=model, upstream=upstream, upstream_model=name, enabled=False)
    what = "a model and a route" if is_new else "a route"
    return f"{name}: added {what}, disabled; it needs prices before it is enabled"
