"""Azure OpenAI: OpenAI's wire at addresses of its own, with its own header for the key.

A base URL that ends in `/openai/v1` is the newer form, OpenAI's paths as they are. Any other is a
resource (`https://NAME.openai.azure.com`), where the deployment stands in the path and every call
names the version of the API. What Azure adds (the filters' results, and a first chunk that has
nothing else) passes to the caller.
"""

from typing import Any, ClassVar
from urllib.parse import quote

from providers.dialects.base import Target
from providers.dialects.openai import OpenAIDialect, OpenAIRelay
from providers.dialects.refusals import refusal
from providers.wire import CHAT, COMPLETION, EMBEDDING, ModelCall, Operation
from runestone.lib.errors import UpstreamError

# For a resource whose quirks name none; it takes `stream_options` and `max_completion_tokens`.
API_VERSION_DEFAULT = "2024-12-01-preview"
_V1 = "/openai/v1"


class AzureDialect(OpenAIDialect):
    name: ClassVar[str] = "azure"
    operations: ClassVar[frozenset[Operation]] = frozenset({CHAT, COMPLETION, EMBEDDING})
    request_id_header: ClassVar[str] = "apim-request-id"

    def url(self, operation: Operation, target: Target) -> str:
        if target.base_url.endswith(_V1):
            return super().url(operation, target)
        deployment = quote(target.upstream_model, safe="")
        url = f"{target.base_url}/openai/deployments/{deployment}{operation.path}"
        return target.quirks.url(url, {"api-version": API_VERSION_DEFAULT})

    def authorization(self, target: Target) -> dict[str, str]:
        return {"api-key": target.credential} if target.credential else {}

    def relay(self, call: ModelCall) -> "AzureRelay":
        return AzureRelay(call.request)

    def failure(self, detail: Any) -> UpstreamError:
        # The filters' refusal of a prompt is the caller's to mend, wherever it is said.
        if isinstance(detail, dict) and detail.get("code") == "content_filter":
            return refusal(400, {}, detail)
        return super().failure(detail)


class AzureRelay(OpenAIRelay):
    _no_choices = b'{"choices":[],'
    _no_object = b'"object":""'
    _object = b'"object":"chat.completion.chunk"'

    def _relayed(self, payload: bytes) -> bytes | None:
        # The chunk that has only the filters' results leaves open what it is; the SDKs ask.
        if payload.startswith(self._no_choices):
            payload = payload.replace(self._no_object, self._object, 1)
        return super()._relayed(payload)
