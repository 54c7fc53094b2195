"""Kinds of values that several requests share, with OpenAI's bounds."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from runestone.lib.policy import RoutingPolicy
from runestone.lib.usage import STANDARD

Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
PositiveInt = Annotated[int, Meta(ge=1)]
Choices = Annotated[int, Meta(ge=1, le=128)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
LogitBias = dict[str, Annotated[int, Meta(ge=-100, le=100)]]
Stop = str | Annotated[list[str], Meta(min_length=1, max_length=4)]
Identifier = Annotated[str, Meta(max_length=64)]
FunctionName = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_.-]+$")]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]
ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast"]


class StreamOptions(Struct):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ModelRequest(Struct, kw_only=True):
    """What every request to a model may say, Runestone's own fields first.

    The properties are what the pipeline needs to know of any request, whatever its endpoint.
    """

    # Where the prompt is.
    prompt_field: ClassVar[str] = "messages"

    provider: str | None = None
    routing_policy: RoutingPolicy | None = None
    tenant_id: str | int | None = None
    model_family: str | None = None
    capabilities: list[str] | None = None
    # US dollars a token, whatever its kind.
    max_cost_per_token: Decimal | None = None
    request_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None

    model: str | None = None
    user: str | None = None

    @property
    def streams(self) -> bool:
        return False

    @property
    def wants_usage_chunk(self) -> bool:
        return False

    @property
    def end_user(self) -> str | None:
        """Whom the call is made for, by the name that the caller gives."""
        return self.user

    @property
    def choices(self) -> int:
        """How many answers are generated, at most."""
        return 1

    @property
    def prompts(self) -> int:
        """How many texts are read, each within the model's context window."""
        return 1

    @property
    def text_bytes(self) -> int:
        """The prompt's text alone, where that is one text: without images, files and names."""
        return 0

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """What a model has to be capable of, each with the field that asks for it."""
        return ()

    @property
    def echoes(self) -> bool:
        """Whether the prompt comes back as part of the answer's text."""
        return False

    @property
    def generates(self) -> bool:
        """Whether output tokens come into being at all."""
        return True

    @property
    def output_tokens_asked(self) -> int | None:
        """The caller's own cap on one answer, reasoning included."""
        return None

    @property
    def has_tools(self) -> bool:
        return False

    @property
    def refers_outside(self) -> bool:
        """Whether the prompt's tokens are not bounded by the bytes of the body: an image by URL."""
        return False

    @property
    def service_tier_asked(self) -> str | None:
        """Empty for the standard one; None leaves the choice to the provider."""
        return STANDARD

    @property
    def web_searches(self) -> int:
        """How many searches the provider will make, and charge for."""
        return 0

    @property
    def may_be_audio(self) -> bool:
        return False

    @property
    def leaves_traces(self) -> bool:
        """Whether the provider does more than answer, so that no answer stands for the call."""
        return False


class GeneratingRequest(ModelRequest, kw_only=True):
    """What every request that generates text may say: how to sample, and whether to stream."""

    temperature: Temperature | None = None
    top_p: Probability | None = None
    n: Choices | None = None
    stop: Stop | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: LogitBias | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def streams(self) -> bool:
        return bool(self.stream)

    @property
    def wants_usage_chunk(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


# Runestone's own fields, which no upstream knows.
OWN_FIELDS = frozenset(
    {
        "provider", "routing_policy", "tenant_id", "model_family", "capabilities",
        "max_cost_per_token", "request_id",
    }
)  # fmt: skip

JSONObject = dict[str, Any]
