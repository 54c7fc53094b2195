"""The other requests to models: legacy completions, embeddings, moderations."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from providers.wire.chat import Image, Text
from providers.wire.kinds import GeneratingRequest, ModelRequest, PositiveInt

INPUTS_MAX = 2_048
COMPLETION_TOKENS_DEFAULT = 16

TokenIds = list[Annotated[int, Meta(ge=0)]]
# A text, texts, tokens, or lists of tokens; which of them are mixed is the provider's to refuse.
TextsOrTokens = (
    str | Annotated[list[str | Annotated[int, Meta(ge=0)] | TokenIds], Meta(min_length=1)]
)
# OpenAI refuses to embed nothing.
TextsOrTokensToEmbed = (
    Annotated[str, Meta(min_length=1)]
    | Annotated[
        list[
            Annotated[str, Meta(min_length=1)]
            | Annotated[int, Meta(ge=0)]
            | Annotated[TokenIds, Meta(min_length=1)]
        ],
        Meta(min_length=1, max_length=INPUTS_MAX),
    ]
)


class CompletionRequest(GeneratingRequest, kw_only=True):
    """`POST /v1/completions`, the legacy one."""

    prompt_field: ClassVar[str] = "prompt"

    prompt: TextsOrTokens | None = None
    best_of: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    suffix: str | None = None

    @property
    def choices(self) -> int:
        return self.prompts * max(self.n or 1, self.best_of or 1)

    @property
    def output_tokens_asked(self) -> int | None:
        return COMPLETION_TOKENS_DEFAULT if self.max_tokens is None else self.max_tokens

    @property
    def echoes(self) -> bool:
        return bool(self.echo)

    @property
    def prompts(self) -> int:
        return _texts(self.prompt)

    @property
    def text_bytes(self) -> int:
        return len(self.prompt.encode()) if isinstance(self.prompt, str) else 0


class EmbeddingRequest(ModelRequest, kw_only=True):
    """`POST /v1/embeddings`."""

    prompt_field: ClassVar[str] = "input"

    input: TextsOrTokensToEmbed
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: PositiveInt | None = None

    @property
    def prompts(self) -> int:
        return _texts(self.input)

    @property
    def generates(self) -> bool:
        return False


class ModerationRequest(ModelRequest, kw_only=True):
    """`POST /v1/moderations`."""

    prompt_field: ClassVar[str] = "input"

    input: str | Annotated[list[str | Text | Image], Meta(min_length=1)]

    @property
    def prompts(self) -> int:
        return _texts(self.input)

    @property
    def generates(self) -> bool:
        return False

    @property
    def refers_outside(self) -> bool:
        return isinstance(self.input, list) and any(isinstance(each, Image) for each in self.input)


def _texts(given: object) -> int:
    """How many texts `given` is: tokens in one list are one text."""
    if not isinstance(given, list) or isinstance(given[0], int):
        return 1
    return len(given)
