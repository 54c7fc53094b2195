"""How many tokens a call can use at most, and how many it probably used, without a tokenizer.

A token is at least one byte of UTF-8, so the bytes of a body bound the tokens of its prompt: role
names and JSON punctuation in it outweigh what a chat template adds.
"""

from typing import NamedTuple

from providers.catalog import CatalogModel
from providers.wire import Audio, ChatCall, File, Image, User

# Tokens that providers add of their own accord where tools are given (Anthropic adds 346).
TOOLS_TOKENS_MAX = 1_000
# No model answers more, whatever a caller asks for; it keeps amounts within a bigint.
OUTPUT_TOKENS_MAX = 10_000_000
# Imposed, and held for, where neither the caller nor the catalogue bounds the answer.
OUTPUT_TOKENS_MAX_DEFAULT = 16_384
# Held for a prompt that bytes do not bound (an image by URL), where the window is not known.
CONTEXT_TOKENS_MAX_DEFAULT = 1_000_000

_BYTES_PER_TOKEN = 4


class Bound(NamedTuple):
    """The most that a call can use.

    `output_tokens` is of all choices together. `output_cap` is what must be imposed on the call
    (per choice) for the bound to hold; None where the caller's own cap or the model's does.
    `audio`: whether some of the tokens may be audio.
    """

    input_tokens: int
    output_tokens: int
    output_cap: int | None
    audio: bool


def bound(call: ChatCall, model: CatalogModel, *, output_default: int | None) -> Bound:
    """`output_default` is the tenant's cap on answers to calls that set none."""
    asked = call.request.output_tokens_asked
    cap = None
    if asked is None and output_default is not None:
        cap = min(output_default, model.max_output_tokens or output_default)
    elif asked is None and model.max_output_tokens is None:
        cap = OUTPUT_TOKENS_MAX_DEFAULT
    per_choice = asked or cap or model.max_output_tokens or OUTPUT_TOKENS_MAX_DEFAULT
    per_choice = min(per_choice, model.max_output_tokens or OUTPUT_TOKENS_MAX)
    return Bound(
        _input_bound(call, model), per_choice * call.request.choices, cap, _may_be_audio(call)
    )


def estimated_input(call: ChatCall) -> int:
    """A fair guess at the prompt's tokens, for calls whose provider never told."""
    return call.body_bytes // _BYTES_PER_TOKEN


def estimated_output(pieces: int, text_bytes: int) -> int:
    """A fair guess at the tokens in what was relayed: most providers send a token a piece."""
    return max(pieces, text_bytes // _BYTES_PER_TOKEN)


def _input_bound(call: ChatCall, model: CatalogModel) -> int:
    window = model.context_window or CONTEXT_TOKENS_MAX_DEFAULT
    if any(_is_by_reference(part) for part in _parts(call)):
        return window
    tokens = call.body_bytes + (TOOLS_TOKENS_MAX if call.request.tools else 0)
    return min(tokens, window) if model.context_window is not None else tokens


def _parts(call: ChatCall) -> list[object]:
    messages = (message for message in call.request.messages if isinstance(message, User))
    return [
        part
        for message in messages
        if isinstance(message.content, list)
        for part in message.content
    ]


def _may_be_audio(call: ChatCall) -> bool:
    return "audio" in (call.request.modalities or ()) or any(
        isinstance(part, Audio) for part in _parts(call)
    )


def _is_by_reference(part: object) -> bool:
    """Whether the part's tokens are not bounded by its bytes in the body."""
    return isinstance(part, Image | Audio | File)
