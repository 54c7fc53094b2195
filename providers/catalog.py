"""The catalogue in memory: which models there are, and the ways to each of them."""

import logging
from collections.abc import Mapping
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
    """Enabled models with at least one enabled route, by canonical name."""

    def __init__(self) -> None:
        self._models: dict[str, CatalogModel] = {}

    def models(self) -> list[CatalogModel]:
        """In order of name."""
        return list(self._models.values())

    def model(self, name: str) -> CatalogModel:
        """Raises NotFound in OpenAI's words."""
        try:
            return self._models[name]
        except KeyError:
            raise unknown(name) from None

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

    def _target(
        self, upstream_id: int, route: list[object], keys: Mapping[tuple[int, str], Keys]
    ) -> Target | None:
        names = (
            "model", "upstream", "dialect", "base_url", "quirks", "upstream_model", "priority",
            "weight",
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
        shared = next((key.secret for key in found if key.tenant_id is None), None)
        return Target(**fields | {"quirks": quirks, "keys": found}, credential=shared)  # type: ignore[arg-type]  # a row's columns


_MODELS = """
    SELECT id, name, family, owned_by, created, capabilities, context_window, max_output_tokens
    FROM providers_model WHERE enabled ORDER BY name
"""
_ROUTES = """
    SELECT r.model_id, u.id, m.name, u.slug, u.dialect, u.base_url, u.quirks, r.upstream_model,
           r.priority, r.weight
    FROM providers_route r
    JOIN providers_upstream u ON u.id = r.upstream_id
    JOIN providers_model m ON m.id = r.model_id
    WHERE r.enabled AND u.enabled ORDER BY r.priority, r.id
"""
