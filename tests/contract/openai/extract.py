"""Takes the schemas of answers out of OpenAI's published OpenAPI description.

    python -m tests.contract.openai.extract path/to/openapi.json

Only what answers need is kept, and no prose: the whole has several megabytes. The schemas are as
published otherwise; what is known to be wrong in them is mended when they are read (judge.py).
The description is OpenAI's, under the MIT licence beside this file.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("schemas.json")
ROOTS = (
    "CreateChatCompletionResponse",
    "CreateChatCompletionStreamResponse",
    "CreateCompletionResponse",
    "CreateEmbeddingResponse",
    "CreateModerationResponse",
    "ErrorResponse",
    "ListModelsResponse",
    "Model",
    "Response",
    "ResponseItemList",
    "ResponseStreamEvent",
)
PROSE = {"description", "example", "examples", "title", "deprecated"}


def main(source: str) -> None:
    published = json.loads(Path(source).read_text())
    schemas = published["components"]["schemas"]
    wanted = list(ROOTS)
    for name in wanted:
        wanted += sorted(set(_named_in(schemas[name])) - set(wanted))
    kept = {
        "source": f"OpenAI's OpenAPI description, version {published['info']['version']}",
        "schemas": {name: _without_prose(schemas[name]) for name in sorted(wanted)},
    }
    TARGET.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(wanted)} schemas, {TARGET.stat().st_size} bytes")  # noqa: T201 -- a script


def _named_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for each in schema.values():
            yield from _named_in(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _named_in(each)


def _without_prose(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_prose(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        # A property may be called "description".
        name: {key: _without_prose(each) for key, each in value.items()}
        if name == "properties"
        else _without_prose(value)
        for name, value in schema.items()
        if name not in PROSE and not name.startswith("x-")
    }


if __name__ == "__main__":
    main(sys.argv[1])
