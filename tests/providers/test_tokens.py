"""The bounds on which holds stand: never below what a call can use."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import tokens
from providers.dialects.openai import OpenAIDialect
from providers.tokens import bound, estimated_input, estimated_output
from tests.providers.calls import chat, decoded, model, target

WINDOW = 128_000
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.test/y.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "f"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}

texts = st.text(max_size=50)
messages = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, texts),
    st.builds(lambda text: {"role": "system", "content": text}, texts),
    st.builds(
        lambda parts: {"role": "user", "content": [{"type": "text", "text": t} for t in parts]},
        st.lists(texts, min_size=1, max_size=3),
    ),
    st.builds(lambda text: {"role": "tool", "tool_call_id": "c", "content": text}, texts),
)


def bytes_of_texts(value):
    """The UTF-8 bytes of all that a tokenizer could see: every string, names included."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list):
        return sum(map(bytes_of_texts, value))
    if isinstance(value, dict):
        return sum(len(name.encode()) + bytes_of_texts(each) for name, each in value.items())
    return 0


def test_it_works():
    found = bound(chat(max_completion_tokens=50), model(), output_default=None)
    assert found.input_tokens >= len("Hello")
    assert (found.output_tokens, found.output_cap) == (50, None)
    assert not found.audio


@given(st.lists(messages, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_a_prompt_has_no_more_tokens_than_bytes(said, escaped, with_tools):
    """Byte-level tokenizers make at most one token of a byte; templates add some a message."""
    body = {"messages": said, **({"tools": [TOOL]} if with_tools else {})}
    call = decoded(json.dumps(body, ensure_ascii=escaped).encode())
    found = bound(call, model(context_window=None), output_default=None)
    assert found.input_tokens >= bytes_of_texts(said) + 4 * len(said) + 3
    assert found.input_tokens >= estimated_input(call)


def test_tools_cost_what_the_provider_adds_to_them():
    without = bound(chat(), model(), output_default=None).input_tokens
    call = chat(tools=[TOOL])
    assert bound(call, model(), output_default=None).input_tokens > without + 1_000


def test_a_prompt_has_no_more_tokens_than_the_window():
    call = chat(messages=[{"role": "user", "content": "x" * 1_000}])
    assert bound(call, model(context_window=500), output_default=None).input_tokens == 500


@pytest.mark.parametrize("part", [IMAGE, SOUND, FILE])
def test_what_bytes_do_not_bound_takes_the_whole_window(part):
    call = chat(messages=[{"role": "user", "content": [{"type": "text", "text": "?"}, part]}])
    assert bound(call, model(), output_default=None).input_tokens == WINDOW
    unknown = bound(call, model(context_window=None), output_default=None)
    assert unknown.input_tokens == tokens.CONTEXT_TOKENS_MAX_DEFAULT


def test_a_reference_to_earlier_audio_takes_the_whole_window():
    answer = {"role": "assistant", "audio": {"id": "audio_1"}}
    found = bound(
        chat(messages=[answer, {"role": "user", "content": "And?"}]), model(), output_default=None
    )
    assert found.input_tokens == WINDOW
    assert found.audio


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": [SOUND]}]},
        {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
    ],
)
def test_audio_is_noticed_on_either_side(fields):
    assert bound(chat(**fields), model(), output_default=None).audio


@pytest.mark.parametrize(
    ("asked", "models", "tenants", "output", "cap"),
    [
        # Nobody says anything: we do.
        (None, None, None, tokens.OUTPUT_TOKENS_MAX_DEFAULT, tokens.OUTPUT_TOKENS_MAX_DEFAULT),
        (None, 4_096, None, 4_096, None),
        (100, None, None, 100, None),
        (100, 4_096, None, 100, None),
        # The model stops where it must, whatever is asked.
        (9_999, 4_096, None, 4_096, None),
        # The tenant's cap is for calls that set none.
        (None, None, 500, 500, 500),
        (None, 4_096, 500, 500, 500),
        (None, 400, 500, 400, 400),
        (100, 4_096, 50, 100, None),
        (600, 4_096, 500, 600, None),
    ],
)
def test_the_answer_is_bounded(asked, models, tenants, output, cap):
    call = chat(max_completion_tokens=asked)
    found = bound(call, model(max_output_tokens=models), output_default=tenants)
    assert (found.output_tokens, found.output_cap) == (output, cap)


def test_each_choice_counts():
    found = bound(chat(n=3, max_tokens=100), model(), output_default=None)
    assert found.output_tokens == 300
    capped = bound(chat(n=3), model(max_output_tokens=None), output_default=200)
    assert (capped.output_tokens, capped.output_cap) == (600, 200)


@given(
    st.none() | st.integers(1, 10**12),
    st.none() | st.integers(1, 10**12),
    st.none() | st.integers(1, 200_000),
    st.none() | st.integers(1, 200_000),
    st.none() | st.integers(1, 128),
)
def test_no_cap_that_is_sent_exceeds_what_is_held(completion, legacy, models, tenants, n):
    """Whichever field the upstream obeys. (A model's own maximum is taken at its word.)"""
    call = chat(max_completion_tokens=completion, max_tokens=legacy, n=n)
    found = bound(call, model(max_output_tokens=models), output_default=tenants)
    request = OpenAIDialect().request(call, target(), output_tokens_max=found.output_cap)
    sent = json.loads(request.body)
    caps = [sent[name] for name in ("max_completion_tokens", "max_tokens") if sent.get(name)]
    most = min(max(caps, default=10**12), models or tokens.OUTPUT_TOKENS_MAX)
    assert found.output_tokens >= most * (n or 1)
    # The dearest catalogued output costs well under $1,000 a million: an amount fits a bigint.
    assert found.output_tokens * 10**9 < 2**63


def test_guesses_are_fair():
    call = chat(messages=[{"role": "user", "content": "x" * 4_000}])
    assert 1_000 <= estimated_input(call) <= 1_050
    assert estimated_output(10, 8) == 10
    assert estimated_output(1, 400) == 100
    assert estimated_output(0, 0) == 0
