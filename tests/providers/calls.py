"""Calls, targets and models for the tests of providers, and the recordings they are fed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api.requests import decode
from providers.catalog import CatalogModel
from providers.dialects.base import Target
from providers.dialects.quirks import NO_QUIRKS
from providers.wire import CHAT, ModelCall

RECORDINGS = Path(__file__).parent / "recordings"


def recording(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def decoded(body: bytes) -> ModelCall:
    """A chat call as it comes over the wire."""
    return decode(CHAT, body)


def chat(**fields: Any) -> ModelCall:
    messages = [{"role": "user", "content": "Hello"}]
    return decoded(json.dumps({"messages": messages, **fields}).encode())


def target(**fields: Any) -> Target:
    return Target(
        **{
            "upstream": "openai",
            "dialect": "openai",
            "base_url": "https://upstream.test/v1",
            "credential": "sk-upstream",
            "quirks": NO_QUIRKS,
            "model": "gpt-4o-mini",
            "upstream_model": "gpt-4o-mini-2024-07-18",
            "priority": 100,
            "weight": 1,
            **fields,
        }
    )


def model(*targets: Target, **fields: Any) -> CatalogModel:
    return CatalogModel(
        **{
            "name": "gpt-4o-mini",
            "family": "gpt-4o",
            "owned_by": "openai",
            "created": datetime(2026, 1, 1, tzinfo=UTC),
            "capabilities": ("chat",),
            "context_window": 128_000,
            "max_output_tokens": 16_384,
            "targets": targets or (target(),),
            **fields,
        }
    )
