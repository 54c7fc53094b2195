"""The catalogue in memory: which models there are, their names, and the ways to each of them."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from providers import credentials
from providers.dialects import DIALECTS
from providers.dialects.base import Target
from providers.dialects.quirks import NO_QUIRKS, Quirks
from providers.keyring import Keys
from runestone.lib.database import Connection
from runestone.lib.errors import NotFound

log = logging.getLogger(__name__)


class CatalogModel(Struct, frozen=True, kw_only=True):
    name: str
    family: str
    owned_by: str
    created: datetime
    capabilities: tuple[str, ...]
    context_window: int | None
    max_output_tokens: int | None
    targets: tuple[Target, ...]


def unknown(name: str) -> NotFound:
    return NotFound(
        f"The model `{name}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


class Catalog:
    """Enabled models with at least one enabled route."""

    def __init__(self) -> None:
        self._models: dict[str, CatalogModel] = {}
        self._named: dict[str, tuple[CatalogModel, ...]] = {}

    def models(self) -> list[CatalogModel]:
        """In order of name."""
        return list(self._models.values())

    def named(self, name: str) -> tuple[CatalogModel, ...]:
        """The models that `name` may mean, each with the targets that it leaves.

        It is a model's own name, or an alias; else `upstream/model`, in any of the model's names,
        which leaves that upstream alone; else what upstreams call a model. More than one only in
        the last case, where upstreams mean different models by one word.
        """
        model = self._models.get(name)
        return (model,) if model is not None else self._named.get(name, ())

    async def reload(self, connection: Connection) -> None:
        keys = await credentials.upstream_keys(connection)
        targets: dict[int, list[Target]] = {}
        for model_id, upstream_id, *route in await connection.fetch(_ROUTES):
            target = self._target(upstream_id, route, keys)
            if target is not None:
                targets.setdefault(model_id, []).append(target)
        self._models = {
            name: CatalogModel(
                name=name,
                family=family,
                owned_by=owned_by,
                created=created,
                capabilities=tuple(capabilities),
                context_window=context_window,
                max_output_tokens=max_output_tokens,
                targets=tuple(targets[model_id]),
            )
            for (
                model_id, name, family, owned_by, created, capabilities, context_window,
                max_output_tokens,
            ) in await connection.fetch(_MODELS)
            if model_id in targets
        }  # fmt: skip
        self._named = other_names(self._models.values(), await connection.fetch(_ALIASES))

    def _target(
        self, upstream_id: int, route: list[object], keys: Mapping[tuple[int, str], Keys]
    ) -> Target | None:
        names = (
            "model", "upstream", "dialect", "base_url", "quirks", "calls_max", "upstream_model",
            "priority", "weight",
        )  # fmt: skip
        fields = dict(zip(names, route, strict=True))
        if fields["dialect"] not in DIALECTS:
            log.error("upstream %(upstream)s speaks %(dialect)s, which is no dialect here", fields)
            return None
        try:
            quirks = msgspec.convert(fields["quirks"], Quirks) if fields["quirks"] else NO_QUIRKS
        except msgspec.ValidationError as error:
            log.error("the quirks of upstream %s cannot be used: %s", fields["upstream"], error)
            return None
        found = keys.get((upstream_id, str(fields["base_url"])))
        if found is None:
            log.error("upstream %(upstream)s has no credential that could be used", fields)
            return None
        return Target(**fields | {"quirks": quirks, "keys": found})  # type: ignore[arg-type]  # a row's columns


def other_names(
    models: Iterable[CatalogModel], aliases: Iterable[tuple[str, str]]
) -> dict[str, tuple[CatalogModel, ...]]:
    """What models are called besides their own names. `aliases`: (alias, model's own name)."""
    by_name = {model.name: model for model in models}
    known = [(alias, by_name[name]) for alias, name in aliases if name in by_name]
    named: dict[str, tuple[CatalogModel, ...]] = {alias: (model,) for alias, model in known}
    for name, model in [*by_name.items(), *known]:
        for narrowed in _by_upstream(model):
            full = f"{narrowed.targets[0].upstream}/{name}"
            named.setdefault(full, (narrowed,))
    theirs: dict[str, list[CatalogModel]] = {}
    for model in by_name.values():
        for word in dict.fromkeys(target.upstream_model for target in model.targets):
            theirs.setdefault(word, []).append(_called(model, word))
    for word, found in theirs.items():
        named.setdefault(word, tuple(found))
        for each in found:
            for narrowed in _by_upstream(each):
                named.setdefault(f"{narrowed.targets[0].upstream}/{word}", (narrowed,))
    return named


def _by_upstream(model: CatalogModel) -> Iterator[CatalogModel]:
    for target in model.targets:
        yield msgspec.structs.replace(model, targets=(target,))


def _called(model: CatalogModel, word: str) -> CatalogModel:
    targets = tuple(target for target in model.targets if target.upstream_model == word)
    return msgspec.structs.replace(model, targets=targets)


_MODELS = """
    SELECT id, name, family, owned_by, created, capabilities, context_window, max_output_tokens
    FROM providers_model WHERE enabled ORDER BY name
"""
_ALIASES = """
    SELECT a.name, m.name FROM providers_alias a JOIN providers_model m ON m.id = a.model_id
    WHERE m.enabled
"""
_ROUTES = """
    SELECT r.model_id, u.id, m.name, u.slug, u.dialect, u.base_url, u.quirks, u.calls_max,
           r.upstream_model, r.priority, r.weight
    FROM providers_route r
    JOIN providers_upstream u ON u.id = r.upstream_id
    JOIN providers_model m ON m.id = r.model_id
    WHERE r.enabled AND u.enabled ORDER BY r.priority, r.id
"""
