"""Schemas made from structs: of requests, the very ones that decode them."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from api.account.shapes import Receipt
from api.contract import answers
from api.messages.wire import CountTokensRequest, MessagesRequest
from api.responses import items
from api.responses.request import ResponseRequest, Tool, ToolChoice
from providers.wire import ChatRequest
from providers.wire.others import CompletionRequest, EmbeddingRequest, ModerationRequest

Schema = dict[str, Any]

_AT = "#/components/schemas/"

# What rides beside OpenAI's fields in every request to a model.
OWN_FIELDS = {
    "provider": "Runestone's own: only this upstream may answer.",
    "tenant_id": "Runestone's own: the account that is meant. Another than the key's is refused.",
    "model_family": "Runestone's own: the model has to be of this family.",
    "capabilities": "Runestone's own: all that the model has to be capable of.",
    "routing_policy": "Runestone's own: by which rule one of several providers is chosen.",
    "max_cost_per_token": "Runestone's own: no token may cost more, in US dollars.",
    "request_id": "Runestone's own: comes back in the answer.",
}

_ANSWERS: Sequence[type[msgspec.Struct]] = [
    each
    for each in vars(answers).values()
    if isinstance(each, type)
    and issubclass(each, msgspec.Struct)
    and each.__module__ == answers.__name__
    and each not in (answers.Own, answers.OwnOnce)
]

# The parts of each family are named after it: two of them may have a `Text`.
_FAMILIES: tuple[tuple[str, Sequence[Any]], ...] = (
    ("Chat", [ChatRequest]),
    ("", [CompletionRequest]),
    ("", [EmbeddingRequest]),
    ("Moderation", [ModerationRequest]),
    ("Messages", [MessagesRequest, CountTokensRequest]),
    ("Response", [ResponseRequest, Tool, ToolChoice]),
    ("Item", list(items.KINDS.values())),
    ("", _ANSWERS),
    ("Receipt", [Receipt]),
)


def ref(name: str) -> Schema:
    return {"$ref": _AT + name}


def add(result: Schema, **_: Any) -> Schema:
    """drf-spectacular's hook, after it has described the endpoints."""
    refusals: dict[str, Schema] = {}
    for path in result["paths"].values():
        for operation in path.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            _share_refusals(operation["responses"], refusals)
    result["components"]["responses"] = dict(sorted(refusals.items()))
    result["components"]["schemas"] = dict(sorted(schemas().items()))
    return result


def _share_refusals(responses: Schema, refusals: dict[str, Schema]) -> None:
    """What endpoints have in common is told once: a change of it is one line in a diff."""
    for status, response in responses.items():
        schema = response["content"]["application/json"]["schema"] if status >= "4" else {}
        if (error := schema.get("$ref", "").removeprefix(_AT)) in ("Error", "MessagesError"):
            name = f"{error}{status}"
            _put(refusals, name, response)
            responses[status] = {"$ref": f"#/components/responses/{name}"}


def schemas() -> dict[str, Schema]:
    made: dict[str, Schema] = {}
    for prefix, types in _FAMILIES:
        _, parts = msgspec.json.schema_components(types, ref_template=_AT + "{name}")
        names = {name: name if name.startswith(prefix) else prefix + name for name in parts}
        for name, schema in parts.items():
            _put(made, names[name], _renamed(schema, names))
    _tell_what_structs_do_not(made)
    for schema in made.values():
        # Where a field stands in the code is nothing to a caller, and must not show in a diff.
        for part in ("properties", "required"):
            if part in schema:
                schema[part] = _in_order(schema[part])
    return made


def _in_order(part: Any) -> Any:
    return dict(sorted(part.items())) if isinstance(part, dict) else sorted(part)


def _put(known: dict[str, Schema], name: str, schema: Schema) -> None:
    if known.setdefault(name, schema) != schema:
        raise ValueError(f"{name} would mean two things")


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    if isinstance(schema, dict):
        return {key: _renamed(value, names) for key, value in schema.items() if key != "title"}
    if isinstance(schema, list):
        return [_renamed(each, names) for each in schema]
    if isinstance(schema, str) and schema.startswith(_AT):
        return _AT + names[schema.removeprefix(_AT)]
    return schema


def _tell_what_structs_do_not(made: dict[str, Schema]) -> None:
    for schema in made.values():
        properties = schema.get("properties", {})
        if "max_cost_per_token" in properties:
            # A decimal is read from a number as well.
            properties["max_cost_per_token"]["anyOf"].append({"type": "number"})
            for name, description in OWN_FIELDS.items():
                properties[name]["description"] = description
    asked = made["ResponseRequest"]["properties"]
    # What this struct does not name goes on to the chat that it stands for.
    asked |= {name: made["ChatRequest"]["properties"][name] for name in OWN_FIELDS}
    # These are decoded in a second step, by their type.
    made["Item"] = {"anyOf": list(_items())}
    asked["input"]["anyOf"][1]["items"] = ref("Item")
    asked["tools"]["anyOf"][0]["items"] = _union("Response", Tool)
    asked["tool_choice"] = _union("Response", ToolChoice)


def _items() -> Iterator[Schema]:
    for kind, types in items.KINDS.items():
        typed = {"type": "object", "properties": {"type": {"const": kind}}}
        if kind == "message":
            yield {**_union("Item", types), "description": "`type` may be left out."}
        else:
            yield {"allOf": [_union("Item", types), {**typed, "required": ["type"]}]}


def _union(prefix: str, types: Any) -> Schema:
    [schema], parts = msgspec.json.schema_components([types], ref_template=_AT + "{name}")
    renamed: Schema = _renamed(
        schema, {name: name if name.startswith(prefix) else prefix + name for name in parts}
    )
    return renamed
