import pytest

from providers.dialects.openai import OpenAIDialect
from runestone.lib.errors import UpstreamBroken, UpstreamRefused
from runestone.lib.usage import Usage
from tests.providers.calls import chat, recording

dialect = OpenAIDialect()


def usage_of(figures: bytes):
    return dialect.answer(chat(), b'{"choices":[],"usage":' + figures + b"}").usage


def test_it_works():
    body = recording("answer.json")
    answer = dialect.answer(chat(), body)
    assert answer.body is body
    assert answer.usage == Usage(
        input_tokens=12,
        cached_input_tokens=4,
        cache_write_tokens=2,
        output_tokens=5,
        reasoning_tokens=3,
    )


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("answer_n2.json", (12, 10)),
        ("answer_refusal.json", (65, 13)),
        ("answer_tools.json", (60, 18)),
    ],
)
def test_every_kind_of_answer_passes_as_it_is(name, used):
    body = recording(name)
    answer = dialect.answer(chat(), body)
    assert answer.body is body
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == used


@pytest.mark.parametrize("figures", [b"null", b"{}", b'{"completion_tokens":5}'])
def test_missing_figures_are_no_usage(figures):
    assert usage_of(figures) is None


def test_an_answer_without_usage_is_an_answer():
    assert dialect.answer(chat(), b'{"choices":[]}').usage is None


@pytest.mark.parametrize(
    "figures",
    [
        b'{"prompt_tokens":-1}',
        b'{"prompt_tokens":1,"completion_tokens":-5}',
        b'{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}',
        b'{"prompt_tokens":1,"completion_tokens":1,'
        b'"completion_tokens_details":{"reasoning_tokens":2}}',
        b'{"prompt_tokens":9,"completion_tokens":10000000000000000}',
        b'{"prompt_tokens":99999999999999999999999999}',
    ],
)
def test_figures_that_cannot_be_true_are_no_usage(figures):
    assert usage_of(figures) is None


def test_null_parts_are_zero():
    figures = b'{"prompt_tokens":3,"completion_tokens":null,"prompt_tokens_details":null}'
    assert usage_of(figures) == Usage(input_tokens=3)
    figures = b'{"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":null}}'
    assert usage_of(figures) == Usage(input_tokens=3)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"<html>Bad gateway</html>",
        b"{}",
        b'{"choices":null}',
        b'{"choices":[]',
        b'{"job":"queued"}',
        b"[" * 100_000,
        b'{"choices":[],"error":' + b"[" * 100_000,
        b'{"choices":[],"error":"\xff"}',
    ],
)
def test_garbage_is_no_answer(body):
    with pytest.raises(UpstreamBroken) as caught:
        dialect.answer(chat(), body)
    assert (caught.value.status, caught.value.code) == (502, "upstream_broken")


def test_an_error_under_a_200_is_a_refusal_without_inside_words():
    with pytest.raises(UpstreamRefused) as caught:
        dialect.answer(chat(), b'{"error":{"message":"host worker-12 fell over","code":500}}')
    assert caught.value.status == 502
    assert "worker-12" not in caught.value.message
