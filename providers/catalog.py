"""The catalogue in memory: which models there are, and the ways to each of them."""

import logging
from datetime import datetime

import msgspec
from msgspec import Struct

from providers import credentials
from providers.dialects import DIALECTS
from providers.dialects.base import Target
from providers.dialects.quirks import NO_QUIRKS, Quirks
from runestone.lib.database import Connection
from runestone.lib.encryption import CannotOpen
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
        targets: dict[int, list[Target]] = {}
        for model_id, *route, sealed in await connection.fetch(_ROUTES):
            target = self._target(route, sealed)
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

    def _target(self, route: list[object], sealed: bytes | None) -> Target | None:
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
        try:
            credential = (
                credentials.open_sealed(sealed, str(fields["base_url"])) if sealed else None
            )
        except CannotOpen as error:
            log.error("the credential of upstream %s cannot be used: %s", fields["upstream"], error)
            return None
        return Target(**fields | {"quirks": quirks}, credential=credential)  # type: ignore[arg-type]  # a row's columns


_MODELS = """
    SELECT id, name, family, owned_by, created, capabilities, context_window, max_output_tokens
    FROM providers_model WHERE enabled ORDER BY name
"""
_ROUTES = """
    SELECT r.model_id, m.name, u.slug, u.dialect, u.base_url, u.quirks, r.upstream_model,
           r.priority, r.weight, u.credential_sealed
    FROM providers_route r
    JOIN providers_upstream u ON u.id = r.upstream_id
    JOIN providers_model m ON m.id = r.model_id
    WHERE r.enabled AND u.enabled ORDER BY r.priority, r.id
"""
