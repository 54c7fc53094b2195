import pytest
from hypothesis import given
from hypothesis import strategies as st

from runestone.lib.usage import NOTHING_USED, Component, Usage, UsageSource

INPUT = {
    Component.INPUT,
    Component.CACHED_INPUT,
    Component.CACHE_WRITE,
    Component.INPUT_AUDIO,
}
tokens = st.integers(0, 10**9)


@st.composite
def usages(draw):
    cached, written, heard, plain_in = (draw(tokens) for _ in range(4))
    thought, spoken, plain_out = (draw(tokens) for _ in range(3))
    return Usage(
        input_tokens=cached + written + heard + plain_in,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        input_audio_tokens=heard,
        output_tokens=thought + spoken + plain_out,
        reasoning_tokens=thought,
        output_audio_tokens=spoken,
    )


def test_it_works():
    usage = Usage(input_tokens=100, cached_input_tokens=30, output_tokens=10, reasoning_tokens=10)
    assert dict(usage.components()) == {
        Component.INPUT: 70,
        Component.CACHED_INPUT: 30,
        Component.REASONING: 10,
    }


@given(usages())
def test_no_token_is_counted_twice_or_lost(usage):
    components = list(usage.components())
    names = [component for component, _ in components]
    assert len(names) == len(set(names))
    assert sum(n for component, n in components if component in INPUT) == usage.input_tokens
    assert sum(n for component, n in components if component not in INPUT) == usage.output_tokens
    assert all(n > 0 for _, n in components)


@pytest.mark.parametrize(
    "parts",
    [
        {"input_tokens": 10, "cached_input_tokens": 11},
        {"input_tokens": 10, "cached_input_tokens": 6, "cache_write_tokens": 5},
        {"input_tokens": 10, "input_audio_tokens": 11},
        {"output_tokens": 10, "reasoning_tokens": 11},
        {"output_tokens": 10, "reasoning_tokens": 6, "output_audio_tokens": 5},
        {"reasoning_tokens": 1},
        {"input_tokens": -1},
    ],
)
def test_parts_over_their_total_are_refused(parts):
    with pytest.raises(ValueError, match="exceed their total"):
        Usage(**parts)


def test_nothing_used_has_no_components():
    assert list(NOTHING_USED.components()) == []
    assert NOTHING_USED.source == UsageSource.NONE
