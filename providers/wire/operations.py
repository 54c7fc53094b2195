"""What a caller can ask of a model, one operation an endpoint; and a call to one."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from providers.wire.chat import ChatRequest
from providers.wire.kinds import ModelRequest
from providers.wire.others import CompletionRequest, EmbeddingRequest, ModerationRequest


@dataclass(frozen=True, eq=False, slots=True)
class Operation:
    """`path` is below `/v1` and below an upstream's base URL alike."""

    path: str
    capability: str
    decoder: msgspec.json.Decoder[ModelRequest]
    # Where a whole answer has its results.
    answer: Literal["choices", "data", "results"]
    # The field that caps one answer's tokens, where a cap has to be imposed.
    output_cap_field: str = ""
    model_default: str = ""


def _decoder(request: type[ModelRequest]) -> msgspec.json.Decoder[ModelRequest]:
    return msgspec.json.Decoder(request)


CHAT = Operation(
    "/chat/completions", "chat", _decoder(ChatRequest), "choices", "max_completion_tokens",
    "gpt-4o-mini",
)  # fmt: skip
COMPLETION = Operation(
    "/completions", "completion", _decoder(CompletionRequest), "choices", "max_tokens"
)
EMBEDDING = Operation("/embeddings", "embeddings", _decoder(EmbeddingRequest), "data")
MODERATION = Operation(
    "/moderations", "moderation", _decoder(ModerationRequest), "results",
    model_default="omni-moderation-latest",
)  # fmt: skip


class ModelCall(msgspec.Struct, frozen=True):
    """A request as it came: typed for us, and field by field as raw JSON to pass on."""

    operation: Operation
    request: ModelRequest
    fields: dict[str, msgspec.Raw]
    # Of the whole body: an upper bound of the prompt's tokens, since a token is at least a byte.
    body_bytes: int
    # The same request in another wire's own words, Anthropic's, if it came in those.
    native: dict[str, msgspec.Raw] | None = None

    def in_its_own_words(self, native: dict[str, msgspec.Raw]) -> "ModelCall":
        """With the words it came in; of the two, the longer ones bound the prompt's tokens."""
        native_bytes = sum(map(len, native.values()))
        return msgspec.structs.replace(
            self, native=native, body_bytes=max(self.body_bytes, native_bytes)
        )
