"""How many tokens a call can use at most, and how many it probably used, without a tokenizer.

A token is at least one byte of UTF-8, so the bytes of a body bound the tokens of its prompt: role
names and JSON punctuation in it outweigh what a chat template adds.
"""

from typing import TYPE_CHECKING, NamedTuple

from providers.wire import ModelCall

if TYPE_CHECKING:  # the catalogue knows the dialects, and a dialect counts tokens
    from providers.catalog import CatalogModel

# Tokens that providers add of their own accord where tools are given (Anthropic adds 346).
TOOLS_TOKENS_MAX = 1_000
# No model answers more, whatever a caller asks for; it keeps amounts within a bigint.
OUTPUT_TOKENS_MAX = 10_000_000
# Imposed, and held for, where neither the caller nor the catalogue bounds the answer.
OUTPUT_TOKENS_MAX_DEFAULT = 16_384
# Held for a prompt that bytes do not bound (an image by URL), where the window is not known.
CONTEXT_TOKENS_MAX_DEFAULT = 1_000_000

# No language's text and no code has more bytes a token, whatever the tokenizer.
TEXT_BYTES_PER_TOKEN_MAX = 6
# An answer is expected to be so long, where only the call's most is known.
OUTPUT_TOKENS_TYPICAL = 500

_BYTES_PER_TOKEN = 4


class Bound(NamedTuple):
    """The most that a call can use.

    `output_tokens` is of all choices together, `choice_tokens` of one. `output_cap` is what must
    be imposed on the call (per choice) for the bound to hold; None where the caller's own cap or
    the model's does. `audio`: whether some of the tokens may be audio.
    """

    input_tokens: int
    output_tokens: int
    choice_tokens: int
    output_cap: int | None
    audio: bool


def bound(call: ModelCall, model: "CatalogModel", *, output_default: int | None) -> Bound:
    """`output_default` is the tenant's cap on answers to calls that set none."""
    if not call.request.generates:
        return Bound(_input_bound(call, model), 0, 0, None, audio=False)
    asked = call.request.output_tokens_asked
    cap = None
    if asked is None and output_default is not None:
        cap = min(output_default, model.max_output_tokens or output_default)
    elif asked is None and model.max_output_tokens is None:
        cap = OUTPUT_TOKENS_MAX_DEFAULT
    bounds = (asked, cap, model.max_output_tokens, OUTPUT_TOKENS_MAX_DEFAULT)
    per_choice = next(bound for bound in bounds if bound is not None)
    per_choice = min(per_choice, model.max_output_tokens or OUTPUT_TOKENS_MAX)
    return Bound(
        _input_bound(call, model),
        per_choice * call.request.choices,
        per_choice,
        cap,
        audio=call.request.may_be_audio,
    )


def estimated_input(call: ModelCall) -> int:
    """A fair guess at the prompt's tokens, for calls whose provider never told."""
    return call.body_bytes // _BYTES_PER_TOKEN


def least_input(call: ModelCall, *, above: int) -> int:
    """The prompt has at least so many tokens. Looked at closely only if it may be `above`."""
    if call.body_bytes // TEXT_BYTES_PER_TOKEN_MAX <= above:
        return 0
    return call.request.text_bytes // TEXT_BYTES_PER_TOKEN_MAX


def expected_output(call: ModelCall) -> int:
    """A guess at the tokens of all answers, before there are any."""
    if not call.request.generates:
        return 0
    asked = call.request.output_tokens_asked
    each = OUTPUT_TOKENS_TYPICAL if asked is None else min(asked, OUTPUT_TOKENS_TYPICAL)
    return each * call.request.choices


def estimated_output(pieces: int, text_bytes: int) -> int:
    """A fair guess at the tokens in what was relayed: most providers send a token a piece."""
    return max(pieces, text_bytes // _BYTES_PER_TOKEN)


def least_output(text_bytes: int) -> int:
    """So much text has at least so many tokens."""
    return text_bytes // TEXT_BYTES_PER_TOKEN_MAX


def _input_bound(call: ModelCall, model: "CatalogModel") -> int:
    window = (model.context_window or CONTEXT_TOKENS_MAX_DEFAULT) * call.request.prompts
    if call.request.refers_outside:
        return window
    tokens = call.body_bytes + (TOOLS_TOKENS_MAX if call.request.has_tools else 0)
    return min(tokens, window) if model.context_window is not None else tokens
