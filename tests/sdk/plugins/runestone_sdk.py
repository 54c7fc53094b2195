"""A pytest plugin for openai-python's own tests: our key, and the failures that we expect.

It runs in the SDK's virtual environment, not in ours.
"""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

LIST = Path(__file__).parents[1] / "openai_python_expected_failures.toml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import tests.conftest  # The SDK's own, whose key is a dummy.

    tests.conftest.api_key = os.environ["RUNESTONE_SDK_KEY"]
    reasons = {
        test: group["reason"]
        for group in tomllib.loads(LIST.read_text())["expected"]
        for test in group["tests"]
    }
    unused = set(reasons)
    for item in items:
        # The synchronous and the asynchronous twin of a test go by the same name.
        file, _, _ = item.nodeid.removeprefix("tests/api_resources/").partition("::")
        for test in (f"{file}::{item.originalname}", f"{file}::{item.name}"):
            if test in reasons:
                unused.discard(test)
                item.add_marker(pytest.mark.xfail(reason=reasons[test], strict=True))
    if unused:
        raise pytest.UsageError(f"{LIST.name} names tests that do not exist: {sorted(unused)}")


@pytest.fixture(scope="session")
def database() -> Iterator[psycopg.Connection]:
    with psycopg.connect(os.environ["RUNESTONE_SDK_DATABASE"], autocommit=True) as connected:
        yield connected


@pytest.fixture(autouse=True)
def _stored_responses(request: pytest.FixtureRequest, database: psycopg.Connection) -> None:
    """The response that the tests ask for is there, although a test before has deleted it."""
    if "response" in request.node.nodeid:
        database.execute(
            "INSERT INTO api_storedresponse SELECT * FROM sdk_responses ON CONFLICT DO NOTHING"
        )
