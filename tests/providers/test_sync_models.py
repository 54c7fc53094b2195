"""Routes are held against what upstreams offer, however an upstream behaves."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import CommandError, call_command

from providers import offers
from providers.models import Alias, Model, Route, Upstream
from runestone.local.mock_provider.process import MockProvider
from tenants.models import Tenant

Respond = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[[Respond], str]
SECRET = "sk-of-the-vendor"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(respond) answers every GET in that way; gives the address."""
    servers: list[ThreadingHTTPServer] = []

    def started(respond: Respond) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                respond(self)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


def tells(answer: Any, status: int = 200, **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


def upstream(url: str, dialect: str = "openai", slug: str = "vendor", **fields: Any) -> Upstream:
    return Upstream.objects.create(slug=slug, name=slug, dialect=dialect, base_url=url, **fields)


def route(to: Upstream, upstream_model: str, name: str = "", **fields: Any) -> Route:
    model, _ = Model.objects.get_or_create(name=name or upstream_model)
    return Route.objects.create(model=model, upstream=to, upstream_model=upstream_model, **fields)


def sync(**options: Any) -> list[list[str]]:
    """The table, cell by cell."""
    out = StringIO()
    call_command("sync_models", stdout=out, stderr=StringIO(), **options)
    return [line.split("  ") for line in _squeezed(out.getvalue())]


def failing(**options: Any) -> tuple[str, str, str]:
    """What it prints, what it complains of, and with which words it fails."""
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("sync_models", stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue(), str(failure.value)


def _squeezed(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield "  ".join(cell.strip() for cell in line.split("  ") if cell.strip())


@pytest.fixture
def mock(db: None, mock_provider: MockProvider) -> Upstream:
    return upstream(mock_provider.url, slug="mock")


# --- What is told ---------------------------------------------------------------------------------


def test_offered_routed_and_gone_ones_are_told_apart(mock: Upstream):
    route(mock, "gpt-4o", "our-gpt")
    route(mock, "gpt-1", "old-gpt", enabled=False)
    lines = sync()
    assert lines[0] == ["mock", "gpt-1", "no longer offered", "old-gpt (disabled)"]
    assert ["mock", "gpt-4o", "routed", "our-gpt"] in lines
    assert ["mock", "mock-tools", "not routed"] in lines


def test_nothing_is_changed_without_being_asked(mock: Upstream):
    sync()
    assert not Model.objects.exists()


def test_disabled_upstreams_and_the_echo_are_not_asked(db: None):
    upstream("http://127.0.0.1:9/v1", enabled=False)
    upstream("echo://local", "echo", slug="echo")
    assert sync() == []


def test_a_list_without_a_frame_is_read(db: None, serve: Serve):
    upstream(serve(tells([{"id": "together/model", "object": "model"}])))
    assert sync() == [["vendor", "together/model", "not routed"]]


def test_what_a_vendor_puts_around_names_means_nothing(db: None, serve: Serve):
    gemini = upstream(serve(tells({"data": [{"id": "models/gemini-9"}]})), slug="gemini")
    ollama = upstream(serve(tells({"models": [{"name": "llama:latest"}]})), "ollama", "ollama")
    route(gemini, "gemini-9")
    route(ollama, "llama")
    assert sync() == [
        ["gemini", "models/gemini-9", "routed", "gemini-9"],
        ["ollama", "llama:latest", "routed", "llama"],
    ]


def test_names_that_are_no_plain_text_are_left_out(db: None, serve: Serve):
    names = ["good", "\x1b[2Jevil", "line\nbreak", "x" * 201, ""]
    upstream(serve(tells({"data": [{"id": name} for name in names]})))
    assert sync() == [["vendor", "good", "not routed"]]


# --- How it is asked ------------------------------------------------------------------------------


def test_anthropic_is_asked_page_by_page(db: None, serve: Serve):
    asked: list[dict[str, Any]] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        asked.append({**query, "key": handler.headers["x-api-key"]})
        assert handler.headers["anthropic-version"]
        first = {"data": [{"id": "claude-2"}], "has_more": True, "last_id": "claude-2"}
        rest = {"data": [{"id": "claude-1"}], "has_more": False, "last_id": "claude-1"}
        tells(rest if "after_id" in query else first)(handler)

    upstream(serve(respond), "anthropic").add_credential(SECRET)
    assert [line[1] for line in sync()] == ["claude-1", "claude-2"]
    assert [query.get("after_id") for query in asked] == [None, ["claude-2"]]
    assert {query["key"] for query in asked} == {SECRET}


@pytest.mark.parametrize(
    ("dialect", "path", "header", "value"),
    [
        ("openai", "/v1", "authorization", f"Bearer {SECRET}"),
        ("azure", "/openai/v1", "api-key", SECRET),
    ],
    ids=["openai", "azure"],
)
def test_keys_and_quirks_go_along(
    db: None, serve: Serve, dialect: str, path: str, header: str, value: str
):
    asked: list[tuple[str, str, str]] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        asked.append((handler.path, handler.headers[header], handler.headers["x-own"]))
        tells({"data": []})(handler)

    quirks = {"headers": {"X-Own": "1"}, "query": {"v": "2"}}
    upstream(serve(respond) + path, dialect, quirks=quirks).add_credential(SECRET)
    assert sync() == []
    assert asked == [(f"{path}/models?v=2", value, "1")]


def test_a_tenants_own_key_is_not_used(db: None, serve: Serve):
    asked: list[str | None] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["authorization"])
        tells({"data": []})(handler)

    tenant = Tenant.objects.create(slug="acme", name="Acme")
    upstream(serve(respond)).add_credential(SECRET, tenant=tenant)
    sync()
    assert asked == [None]


# --- Upstreams that misbehave ---------------------------------------------------------------------


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.01)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("respond", "why"),
    [
        (tells({"error": {}}, 401), "it answered 401"),
        (tells({}, 302, location="http://169.254.169.254/"), "it answered 302"),
        (tells({"error": "x"}), "its answer is no list of models"),
        (tells(b"<html>"), "its answer is no list of models"),
        (tells(b"[" * 100_000), "its answer is no list of models"),
        (tells(gzip.compress(b"{}")), "its answer is no list of models"),
        (tells({"data": [], "has_more": True, "last_id": "x"}), "more than 50 pages"),
        (tells(b"[]" + b" " * 2_000), "larger than 1,000 bytes"),
        (endless, "took more than"),
    ],
    ids=["401", "redirect", "error", "html", "deep", "gzip", "pages", "large", "endless"],
)
def test_the_others_are_told_and_the_exit_says_so(
    mock: Upstream, serve: Serve, monkeypatch: pytest.MonkeyPatch, respond: Respond, why: str
):
    monkeypatch.setattr(offers, "LISTING_SECONDS_MAX", 0.3)
    if "larger" in why:
        monkeypatch.setattr(offers, "PAGE_BYTES_MAX", 1_000)
        mock.delete()
    upstream(serve(respond), slug="bad")
    out, err, failure = failing()
    assert err.startswith("bad: ")
    assert why in err
    assert "upstreams did not tell" in failure
    assert ("mock-tools" in out) == ("larger" not in why)


def test_one_that_is_not_there_is_told(db: None):
    upstream("http://127.0.0.1:9/v1")
    assert failing()[1] == "vendor: it cannot be asked: ConnectError\n"


def test_one_whose_key_does_not_open_is_not_asked(db: None, serve: Serve):
    moved = upstream("https://a.example/v1")
    moved.add_credential(SECRET)
    Upstream.objects.update(base_url=serve(tells({"data": []})))
    assert failing()[1] == "vendor: none of its stored credentials can be opened\n"


def test_a_resource_of_azure_has_no_list_of_deployments(db: None):
    upstream("https://name.openai.azure.com", "azure")
    assert "not its deployments" in failing()[1]


# --- Adding ---------------------------------------------------------------------------------------


def test_chosen_ones_are_added_disabled(mock: Upstream):
    sync(upstream="mock", add=["gpt-4o", "mock-slow"])
    added = Route.objects.select_related("model").get(upstream_model="mock-slow")
    assert (added.model.name, added.model.owned_by) == ("mock-slow", "mock")
    assert (added.enabled, added.model.enabled) == (False, False)
    sync(upstream="mock", add=["mock-slow"])
    assert Route.objects.count() == 2


def test_a_model_that_is_here_gets_a_route_and_stays_as_it_is(mock: Upstream):
    Model.objects.create(name="gpt-4o", owned_by="openai", context_window=128_000)
    sync(upstream="mock", add=["gpt-4o"])
    model = Model.objects.get()
    assert (model.enabled, model.owned_by, model.context_window) == (True, "openai", 128_000)
    assert not Route.objects.get().enabled


def test_all_are_added_or_none(mock: Upstream):
    assert "does not offer 'gpt-99'" in failing(upstream="mock", add=["gpt-4o", "gpt-99"])[2]
    assert not Model.objects.exists()


def test_a_second_way_to_the_same_upstream_is_refused(mock: Upstream):
    route(mock, "gpt-4o-mini", "gpt-4o")
    assert "another route" in failing(upstream="mock", add=["gpt-4o"])[2]


def test_a_name_that_is_an_alias_here_makes_no_model(mock: Upstream):
    Alias.objects.create(name="gpt-4o", model=Model.objects.create(name="house-model"))
    assert "another name of a model" in failing(upstream="mock", add=["gpt-4o"])[2]
    assert Model.objects.count() == 1


def test_options_are_checked(mock: Upstream):
    assert "--add needs --upstream" in failing(add=["gpt-4o"])[2]
    assert "no enabled upstream 'nobody'" in failing(upstream="nobody")[2]
