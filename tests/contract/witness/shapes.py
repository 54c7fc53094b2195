"""The shape of a JSON value: what its judgement depends on, and nothing else.

A shape keeps the fields' names, the types, and the strings of those fields that OpenAI describes as
one of a few words. Bounds of numbers and patterns of strings are lost in it: of two replies that
differ in these alone only the first is judged.
"""

import json
from collections.abc import Hashable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

_SCHEMAS = Path(__file__).parents[1] / "openai" / "schemas.json"
# Longer strings are cut when a reply is kept: nothing judges what is beyond. Of base64 whole floats
# are left.
STRING_CHARACTERS_MAX = 4_096


def shape(value: Any, field: str = "") -> Hashable:
    if isinstance(value, dict):
        return ("object", *((name, shape(value[name], name)) for name in sorted(value)))
    if isinstance(value, list):
        return ("array", frozenset(shape(each, field) for each in value))
    if isinstance(value, str) and field in _closed_fields():
        return ("word", value)
    return type(value).__name__


def shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shortened(each) for each in value]
    return value[:STRING_CHARACTERS_MAX] if isinstance(value, str) else value


@cache
def _closed_fields() -> frozenset[str]:
    """The names of the fields whose strings are one of a few, wherever they stand."""
    schemas = json.loads(_SCHEMAS.read_text())["schemas"]
    return frozenset(_closed_in(list(schemas.values()), schemas))


def _closed_in(schema: Any, schemas: dict[str, Any]) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from _closed_in(each, schemas)
    elif isinstance(schema, dict):
        for name, each in (schema.get("properties") or {}).items():
            if _is_closed(each, schemas):
                yield name
        yield from _closed_in(list(schema.values()), schemas)


def _is_closed(schema: Any, schemas: dict[str, Any]) -> bool:
    if not isinstance(schema, dict):
        return False
    if (reference := schema.get("$ref")) is not None:
        return _is_closed(schemas[reference.rpartition("/")[2]], schemas)
    kinds = [each for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name, ())]
    any_string = any(each.get("type") == "string" and "enum" not in each for each in kinds)
    return "enum" in schema or (not any_string and any(_is_closed(each, schemas) for each in kinds))
