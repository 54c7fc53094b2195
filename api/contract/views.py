"""/docs: the contract to read and to try out. Every file is our own; no login is needed."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

# Holds the browser to it, whatever the bundles would like to fetch.
_ONLY_OURS = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'none'"
)


def swagger(request: HttpRequest) -> HttpResponse:
    return _page(request, "docs/swagger.html")


def redoc(request: HttpRequest) -> HttpResponse:
    return _page(request, "docs/redoc.html")


def openapi_yaml(request: HttpRequest) -> HttpResponse:
    # Imported when asked for: gateways that nobody asks need not have it in memory.
    from api.contract import document

    return _document(document.as_yaml, "application/yaml")


def openapi_json(request: HttpRequest) -> HttpResponse:
    from api.contract import document

    return _document(document.as_json, "application/json")


def _page(request: HttpRequest, template: str) -> HttpResponse:
    page = render(request, template)
    page["Content-Security-Policy"] = _ONLY_OURS
    return page


def _document(made: Callable[[], bytes], media_type: str) -> HttpResponse:
    return HttpResponse(made(), content_type=media_type)
