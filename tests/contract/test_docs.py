"""/docs: to read and to try out, without a login and without any other host."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway_process import GatewayProcess

PAGES = ["/docs/", "/docs/redoc/"]


@pytest.fixture(scope="module")
def visitor(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """Somebody without a key and without a session."""
    with httpx.Client(base_url=gateway.root) as made:
        yield made


@pytest.mark.parametrize("path", PAGES)
def test_it_works(visitor: httpx.Client, path: str):
    page = visitor.get(path)
    assert page.status_code == 200
    assert "<title>Runestone API</title>" in page.text
    assert "runestone/mark.svg" in page.text


@pytest.mark.parametrize("path", PAGES)
def test_every_file_is_our_own_and_there(visitor: httpx.Client, path: str):
    page = visitor.get(path)
    assert "//" not in page.text.replace("<!--", ""), "names another host"
    links = re.findall(r'(?:href|src|data-openapi)="([^"]+)"', page.text)
    files = [link for link in links if link.startswith("/static/") or "openapi" in link]
    assert len(files) >= 6
    for link in files:
        assert visitor.get(link).status_code == 200, link


@pytest.mark.parametrize("path", PAGES)
def test_the_browser_is_held_to_it(visitor: httpx.Client, path: str):
    policy = visitor.get(path).headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert "*" not in policy
    assert "<script>" not in visitor.get(path).text


def test_without_a_slash(visitor: httpx.Client):
    assert visitor.get("/docs").headers["location"] == "/docs/"


def test_the_contract_is_served(visitor: httpx.Client):
    assert visitor.get("/docs/openapi.json").json()["info"]["title"] == "Runestone"
    assert visitor.get("/docs/openapi.yaml").text.startswith("openapi: 3.1")
