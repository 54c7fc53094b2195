"""The few parts of OpenAI's answers that we read; the rest passes as bytes."""

from typing import Any

from msgspec import Raw, Struct


class PromptTokensDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionTokensDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class UsageFigures(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None
    # Where Together and Moonshot, and DeepSeek, tell of cached tokens.
    cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None

    @property
    def cached_flat(self) -> int | None:
        return self.cached_tokens or self.prompt_cache_hit_tokens


class ModelAnswer(Struct):
    """A whole answer. Which of the lists it has depends on what was asked."""

    choices: list[Raw] | None = None
    data: list[Raw] | None = None
    results: list[Raw] | None = None
    usage: UsageFigures | None = None
    service_tier: str | None = None
    error: Any = None


class ChunkChoice(Struct):
    index: int = 0
    finish_reason: str | None = None
    # Older Moonshot's place for it.
    usage: UsageFigures | None = None


class GroqExtras(Struct):
    usage: UsageFigures | None = None


class CompletionChunk(Struct):
    """What we read of a chunk that says more than some output."""

    choices: list[ChunkChoice] | None = None
    usage: UsageFigures | None = None
    # Groq's own place for it.
    x_groq: GroqExtras | None = None
    service_tier: str | None = None
    error: Any = None

    @property
    def figures(self) -> UsageFigures | None:
        if self.usage is not None:
            return self.usage
        if self.x_groq is not None and self.x_groq.usage is not None:
            return self.x_groq.usage
        found = (choice.usage for choice in self.choices or () if choice.usage is not None)
        return next(found, None)
