"""Holds an answer against OpenAI's published schemas, and against ours."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

_OPENAI = Path(__file__).parent / "openai" / "schemas.json"
_OURS = Path(__file__).parents[2] / "docs" / "openapi.json"


def check(value: Any, *, openai: str | None = None, ours: str | None = None) -> None:
    """Fails with the place and the complaint. The names are those of component schemas."""
    if openai is not None:
        _check(_openai(openai), value, f"OpenAI's {openai}")
    if ours is not None:
        _check(_ours(ours), value, f"our {ours}")


def statuses(path: str, method: str = "post") -> set[str]:
    """Those that our description says an endpoint may answer with."""
    return set(json.loads(_OURS.read_text())["paths"][path][method]["responses"])


def complaint(value: Any, openai: str) -> str | None:
    error = best_match(_openai(openai).iter_errors(value))
    return None if error is None else f"{error.json_path}: {error.message}"


def _check(validator: Any, value: Any, name: str) -> None:
    error = best_match(validator.iter_errors(value))
    assert error is None, f"{name}, at {error.json_path}: {error.message[:500]}\n{value}"


@cache
def _openai(name: str) -> Any:
    return _validator(name, _relaxed_openai())


@cache
def _ours(name: str) -> Any:
    return _validator(name, json.loads(_OURS.read_text())["components"]["schemas"])


def _validator(name: str, schemas: dict[str, Any]) -> Any:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    )


@cache
def _relaxed_openai() -> dict[str, Any]:
    """What is published, but for what OpenAI's own recorded answers differ in."""
    schemas: dict[str, Any] = _null_allowed(json.loads(_OPENAI.read_text())["schemas"])
    for name in (
        "CreateChatCompletionResponse",
        "CreateChatCompletionStreamResponse",
        "CreateCompletionResponse",
    ):
        properties = schemas[name]["properties"]
        choice = properties["choices"]["items"]
        # Newer models leave the log probabilities out.
        choice["required"] = [each for each in choice["required"] if each != "logprobs"]
        # And have no fingerprint.
        properties["system_fingerprint"] = {"type": ["string", "null"]}
    # A response says null for what was not asked, or is not known yet: see the recordings in
    # tests/api/responses.
    schemas["ModelResponseProperties"]["properties"]["user"] = {"type": ["string", "null"]}
    schemas["ResponseUsage"] = {"anyOf": [schemas["ResponseUsage"], {"type": "null"}]}
    return schemas


def _null_allowed(schema: Any) -> Any:
    """`nullable: true` is of OpenAPI 3.0, and means nothing in the 3.1 that the document says."""
    if isinstance(schema, list):
        return [_null_allowed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    mended = {name: _null_allowed(each) for name, each in schema.items() if name != "nullable"}
    return {"anyOf": [mended, {"type": "null"}]} if schema.get("nullable") is True else mended
