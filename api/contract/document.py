"""The whole document, as drf-spectacular puts it together."""

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer

URLCONF = "api.contract.urls"


class Generator(SchemaGenerator):
    """Reads our list of endpoints, for Django's own does not have the data plane."""

    def __init__(self, *args: Any, urlconf: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, urlconf=urlconf or URLCONF, **kwargs)  # type: ignore[no-untyped-call]


@cache
def _document() -> Any:
    return Generator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


@cache
def as_yaml() -> bytes:
    return bytes(OpenApiYamlRenderer().render(_document()))  # type: ignore[no-untyped-call]


@cache
def as_json() -> bytes:
    return bytes(OpenApiJsonRenderer().render(_document()))
