"""OpenAI's wire as types: what requests may say, and the parts of answers that we read."""

from providers.wire.answers import CompletionChunk, ModelAnswer, UsageFigures
from providers.wire.chat import ChatRequest
from providers.wire.kinds import OWN_FIELDS, ModelRequest
from providers.wire.operations import (
    CHAT,
    COMPLETION,
    EMBEDDING,
    MODERATION,
    ModelCall,
    Operation,
)

__all__ = [
    "CHAT",
    "COMPLETION",
    "EMBEDDING",
    "MODERATION",
    "OWN_FIELDS",
    "ChatRequest",
    "CompletionChunk",
    "ModelAnswer",
    "ModelCall",
    "ModelRequest",
    "Operation",
    "UsageFigures",
]
