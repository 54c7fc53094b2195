"""How a call is to be answered, read from a compact text. The package tells the words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

# A scenario is typed by hand, so a number beyond these is a slip and not a wish.
SECONDS_MAX = 3_600
CHUNKS_MAX = 1_000_000
HUGE_BYTES_MAX = 256 * 1024 * 1024

Seconds = Annotated[float, Meta(ge=0, le=SECONDS_MAX)]
Count = Annotated[int, Meta(ge=0, le=CHUNKS_MAX)]
Status = Annotated[int, Meta(ge=200, le=599)]


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of a scenario. The defaults are an ordinary, instant, correct answer."""

    slow_headers: Seconds = 0
    delay: Seconds = 0
    gap: Seconds = 0
    late_usage: Seconds = 0
    deaf: bool = False
    hang: bool = False

    chunks: Count | None = None
    huge: Annotated[int, Meta(ge=1, le=HUGE_BYTES_MAX)] | None = None
    tools: Count = 0
    refusal: bool = False
    length: bool = False
    finish: str | None = None
    overrun: bool = False
    mirror: bool = False

    reasoning: Count = 0
    cached: Annotated[int, Meta(ge=0)] = 0
    written: Count = 0
    written_1h: Count = 0
    no_usage: bool = False
    usage_every_chunk: bool = False
    usage_twice: bool = False

    error: Annotated[int, Meta(ge=400, le=599)] | None = None
    code: str | None = None
    type: str | None = None
    message: str | None = None
    retry_after: Seconds | None = None
    garbage: Status | None = None
    empty: bool = False
    drop: bool = False

    cut: Count | None = None
    fin: bool = False
    cut_json: bool = False
    half_json: bool = False
    midstream_error: Count | None = None
    junk: Count | None = None
    no_done: bool = False
    json_for_stream: bool = False

    comments: bool = False
    crlf: bool = False
    split: Annotated[int, Meta(ge=1)] | None = None

    first: Count | None = None
    key: str | None = None
    odds: Annotated[float, Meta(ge=0, le=1)] | None = None

    @property
    def breaks_after(self) -> int | None:
        """The content chunk after which the stream breaks, if it does."""
        return self.cut if self.cut is not None else self.midstream_error


NORMAL = Scenario()

# What a word means when it stands alone; a word missing here is a flag.
BARE: dict[str, Any] = {
    "slow_headers": 1, "delay": 1, "gap": 0.02, "late_usage": 1,
    "chunks": 10, "huge": 1024 * 1024, "tools": 1, "reasoning": 8,
    "cached": 2**31,  # All of the prompt: it is capped there.
    "error": 500, "garbage": 200, "cut": 3, "midstream_error": 3, "junk": 3, "split": 7,
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    "normal": {},
    "slow": {"delay": 1, "gap": 0.1, "chunks": 20},
    "crlf": {"crlf": True, "split": 7},
}
ALIASES = {"words": "chunks"}
WORDS = frozenset(Scenario.__struct_fields__) | PRESETS.keys() | ALIASES.keys()
_WORD_END = re.compile("[=;|]")


class UnknownScenarioError(ValueError):
    """The text names a word that does not exist, or a value that does not fit."""


def alternatives(text: str) -> tuple[str, ...]:
    """Split `error=500|cut=0|normal`; each call is answered in one of these ways."""
    return tuple(text.split("|"))


@lru_cache(maxsize=4096)
def parse(text: str) -> Scenario:
    """Read `delay=2;chunks=50` and fail loudly on a slip."""
    words: dict[str, Any] = {}
    for piece in filter(None, map(str.strip, text.split(";"))):
        words |= _read_word(piece)
    try:
        return msgspec.convert(words, Scenario, strict=False)
    except msgspec.ValidationError as slip:
        raise UnknownScenarioError(f"Mock scenario '{text}': {slip}") from None


def _read_word(piece: str) -> dict[str, Any]:
    word, has_value, value = piece.partition("=")
    name = ALIASES.get(word.strip(), word.strip())
    if has_value:
        return {name: value.strip()}
    if name in PRESETS:
        return PRESETS[name]
    return {name: BARE.get(name, True)}


@lru_cache(maxsize=4096)
def split_model(name: str) -> tuple[str, str]:
    """Split `gpt-4o:slow` or `mock-slow` into the model and its scenario's text.

    A real name may hold colons too (`llama3:8b`, `ft:gpt-4o:acme::1`), hence the check.
    """
    if name.startswith("mock-") and _starts_with_word(name[5:]):
        return "mock", name[5:]
    model, colon, text = name.rpartition(":")
    return (model, text) if colon and _starts_with_word(text) else (name, "")


def _starts_with_word(text: str) -> bool:
    return _WORD_END.split(text, maxsplit=1)[0].strip() in WORDS
