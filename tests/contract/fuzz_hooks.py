"""What schemathesis is told beyond docs/openapi.yaml: loaded by its process, not by pytest.

Made-up names of models would end nearly every call at "no such model". So half of the bodies get a
model that exists, and lose the wishes that nothing can fulfil.
"""

import json
import os
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

# One line a request, for the test to count.
LOG = Path(os.environ["RUNESTONE_FUZZ_LOG"])
SECONDS_MAX = 10.0
_MODELS = {
    "/v1/completions": "gpt-3.5-turbo-instruct",
    "/v1/embeddings": "text-embedding-3-small",
    "/v1/moderations": "omni-moderation-latest",
}
_WISHES = (
    "provider",
    "routing_policy",
    "tenant_id",
    "model_family",
    "capabilities",
    "max_cost_per_token",
)
_UNPRICED = ("service_tier", "web_search_options")


@schemathesis.hook
def before_generate_body(context: Any, strategy: Any) -> Any:
    model = _MODELS.get(context.operation.path, "gpt-4o-mini")

    def served(body: Any, serve: bool) -> Any:
        if not serve or not isinstance(body, dict):
            return body
        kept = {name: each for name, each in body.items() if name not in (*_WISHES, *_UNPRICED)}
        return kept | {"model": model}

    return st.builds(served, strategy, st.booleans())


@schemathesis.check
def answers_as_it_should(ctx: Any, response: Any, case: Any) -> None:
    """No fault of ours, no HTML, OpenAI's or Anthropic's error, a name for the log, no hang."""
    path, status = case.operation.path, response.status_code
    with LOG.open("a") as log:
        log.write(f"{status} {case.method} {path}\n")
    assert response.elapsed < SECONDS_MAX, f"took {response.elapsed} s"
    media_type = response.headers.get("content-type", [""])[0]
    assert media_type.startswith(("application/json", "text/event-stream")), media_type
    assert response.headers.get("x-request-id"), "no x-request-id"
    if path.startswith("/health"):
        return
    assert status < 500, f"{status}: {response.content[:500]!r}"
    if status >= 400:
        assert media_type == "application/json", media_type
        told = json.loads(response.content)
        assert isinstance(told["error"]["message"], str)
        assert isinstance(told["error"]["type"], str)
