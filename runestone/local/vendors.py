"""The vendors that a first run knows, as rows of `providers/vendors.json`.

A vendor is enabled if every environment variable that its row names is set; the others wait in the
admin, disabled, for a key. What it serves and at what price is in `providers/catalog.json`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from providers.dialects.quirks import Quirks
from providers.models import Upstream

FILE = Path(__file__).resolve().parents[2] / "providers" / "vendors.json"


class Vendor(Struct, forbid_unknown_fields=True, kw_only=True):
    slug: str
    name: str
    dialect: str
    base_url: str
    homepage: str
    # Environment variables. Without a name for its key, a vendor needs none.
    key_variable: str = ""
    # Where it differs for everybody: a resource of one's own, a server of one's own.
    url_variable: str = ""
    quirks: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """Raises ValidationError for quirks that are none."""
        msgspec.convert(self.quirks, Quirks)

    def is_in(self, environment: Mapping[str, str]) -> bool:
        needed = [name for name in (self.url_variable, self.key_variable) if name]
        return all(environment.get(name) for name in needed)

    def address(self, environment: Mapping[str, str]) -> str:
        return (environment.get(self.url_variable) or self.base_url).rstrip("/")


def known() -> list[Vendor]:
    return msgspec.json.decode(FILE.read_bytes(), type=list[Vendor])


def add_vendors(environment: Mapping[str, str]) -> Iterator[Upstream]:
    """Makes a row of every vendor. Gives those that can be called."""
    for vendor in known():
        enabled = vendor.is_in(environment)
        upstream = Upstream.objects.create(
            slug=vendor.slug,
            name=vendor.name,
            dialect=vendor.dialect,
            base_url=vendor.address(environment),
            quirks=vendor.quirks,
            enabled=enabled,
        )
        if enabled:
            if key := environment.get(vendor.key_variable):
                upstream.add_credential(key)
            yield upstream
