"""docs/openapi.yaml and .json say what the code does, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from api import routes
from api.contract import document
from api.contract.components import OWN_FIELDS as OWN_FIELDS_TOLD
from api.contract.operations import ENDPOINTS, EVENTS
from providers.wire import OWN_FIELDS

DOCS = Path(__file__).parents[2] / "docs"
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(document.as_json())
    return made


def test_it_is_valid_and_without_warnings(tmp_path: Path):
    made = tmp_path / "openapi.yaml"
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(made))
    assert made.read_bytes() == document.as_yaml()


@pytest.mark.parametrize("name", ["openapi.yaml", "openapi.json"])
def test_the_checked_in_files_are_up_to_date(name: str):
    made = document.as_yaml() if name.endswith("yaml") else document.as_json()
    assert (DOCS / name).read_bytes() == made, (
        f"docs/{name} is not what the code says: run `make contract`, and look at the diff. "
        "What is gone from it, or newly required, breaks callers."
    )


def test_every_route_is_described():
    served = set(routes._VIEWS) | set(routes._STREAMS)
    served |= {
        routes._MODELS + "<path:name>",
        *(f"{routes._RESPONSES}<str:name>/{rest}".rstrip("/") for rest in routes._OF_A_RESPONSE),
        *(f"{routes._REQUESTS}<str:name>/{rest}" for rest in routes._OF_A_REQUEST),
    }
    assert {f"/{endpoint.path}" for endpoint in ENDPOINTS} == served


def test_every_method_is_described():
    for endpoint in ENDPOINTS:
        known = {name for name in METHODS if hasattr(endpoint.view, name)}
        assert known == set(endpoint.operations), endpoint.path


def test_every_stream_is_described(described: dict[str, Any]):
    streaming = {
        path
        for path, operations in described["paths"].items()
        for operation in operations.values()
        if EVENTS in operation["responses"].get("200", {}).get("content", ())
    }
    assert streaming == set(routes._STREAMS)


def test_our_own_fields_are_described(described: dict[str, Any]):
    assert set(OWN_FIELDS_TOLD) == OWN_FIELDS
    schemas = described["components"]["schemas"]
    for name in (
        "ChatRequest",
        "CompletionRequest",
        "EmbeddingRequest",
        "ModerationRequest",
        "ResponseRequest",
        "MessagesRequest",
    ):
        for field in OWN_FIELDS:
            assert schemas[name]["properties"][field]["description"]
    for name in ("ChatCompletion", "Completion", "EmbeddingList", "Moderation"):
        assert {"provider", "routing_policy", "request_id"} <= set(schemas[name]["required"])


def test_only_health_needs_no_key(described: dict[str, Any]):
    for path, operations in described["paths"].items():
        for operation in operations.values():
            keys = [] if path.startswith("/health") else [{"bearer": []}, {"apiKey": []}]
            assert operation["security"][: len(keys)] == (keys or [{}])[: len(keys)]


def test_nothing_is_described_that_is_not_used(described: dict[str, Any]):
    text = json.dumps(described)
    for kind, parts in described["components"].items():
        for name in parts:
            assert kind == "securitySchemes" or f'"#/components/{kind}/{name}"' in text, name
