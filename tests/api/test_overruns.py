"""A provider that says more than it was asked for is cut off where the hold ends."""

import openai
import pytest

from tests.cast import Account
from tests.conftest import Ask

ASKED = 20
ALL = 2_000


def test_a_stream_is_cut_off_where_its_hold_ends(ask: Ask, acme: Account):
    got = 0
    with pytest.raises(openai.APIError, match="more than it was asked for"):
        for chunk in ask(f"overrun;chunks={ALL}", max_completion_tokens=ASKED, stream=True):
            got += bool(chunk.choices and chunk.choices[0].delta.content)
    # What had arrived by then, in one piece, is passed on.
    assert ASKED < got < ALL / 2
    [line] = acme.lines()
    assert (line.status, line.error) == (502, "upstream_broken")
    # An estimate of ours never passes what was held for it.
    assert line.output_tokens == ASKED
    assert line.amount_pico <= line.held_pico


def test_what_was_asked_for_is_not_cut(ask: Ask, acme: Account):
    chunks = list(ask("chunks=2000", max_completion_tokens=2000, stream=True))
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) == 2000
    [line] = acme.lines()
    assert (line.status, line.output_tokens) == (200, 2000)


def test_long_words_are_not_taken_for_many(ask: Ask, acme: Account):
    """A token may be many bytes; only so many that it cannot be are too many."""
    answer = ask("mirror", text="internationalization " * 50, stream=True)
    assert list(answer)
    [line] = acme.lines()
    assert line.status == 200


def test_an_echo_is_not_an_answer(client: openai.OpenAI, acme: Account):
    """The legacy endpoint gives the prompt back where it is asked to; that is no output."""
    prompt = "the quick brown fox " * 100
    chunks = client.completions.create(
        model="gpt-3.5-turbo-instruct", prompt=prompt, echo=True, max_tokens=5, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices).startswith(prompt)
    [line] = acme.lines()
    assert (line.status, line.output_tokens) == (200, 5)
