"""How many tokens a prompt has, about, without a tokenizer and without asking a provider.

It rather counts too many than too few. English prose has a token for four characters, code and
JSON for three; in other scripts a character is about a token. Every name and word of the chat
request is counted, which stands for what a chat template adds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from api.messages.chat import prompt_fields
from api.messages.wire import CountTokensRequest

_ASCII_PER_TOKEN = 3
# The most that Anthropic counts for a picture; others scale it down to less.
IMAGE_TOKENS = 1_600
# Of a file in base64: a page is some 50 kB and 2,000 tokens.
_FILE_CHARACTERS_PER_TOKEN = 32
# What providers add of their own accord where tools are given.
TOOLS_TOKENS = 346


def estimated(request: CountTokensRequest) -> int:
    return _tokens(prompt_fields(request)) + (TOOLS_TOKENS if request.tools else 0)


def _tokens(value: Any) -> int:
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, Mapping):
        if value.get("type") == "image_url":
            return IMAGE_TOKENS
        if value.get("type") == "file":
            return len(value["file"]["file_data"]) // _FILE_CHARACTERS_PER_TOKEN
        return sum(_of_text(name) + _tokens(each) for name, each in value.items())
    if isinstance(value, Sequence):
        return sum(map(_tokens, value))
    return 1


def _of_text(text: str) -> int:
    others = 0 if text.isascii() else len(text) - len(text.encode("ascii", "ignore"))
    return -(-(len(text) - others) // _ASCII_PER_TOKEN) + others
