import re

from hypothesis import given
from hypothesis import strategies as st

from tenants import keys

PEPPER = "a pepper"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY = keys.mint(PEPPER).text


def test_it_works():
    minted = keys.mint(PEPPER)
    assert re.fullmatch(r"sk-rs-[0-9A-Za-z]{61}", minted.text)
    assert len(minted.text) == keys.KEY_LENGTH == 67
    assert minted.text[6:18] == minted.prefix
    assert minted.digest == keys.digest(minted.text, PEPPER)
    assert len(minted.digest) == 32
    assert keys.is_well_formed(minted.text)


def test_no_two_keys_are_alike():
    minted = [keys.mint(PEPPER) for _ in range(200)]
    assert len({key.text for key in minted}) == 200
    assert len({key.prefix for key in minted}) == 200


def test_another_pepper_gives_another_digest():
    assert keys.digest(KEY, PEPPER) != keys.digest(KEY, "another pepper")


def test_every_single_character_typo_is_caught():
    for position in range(len(KEY)):
        for character in BASE62 + "-_ é":
            if character != KEY[position]:
                typo = KEY[:position] + character + KEY[position + 1 :]
                assert not keys.is_well_formed(typo), typo


def test_swapped_neighbours_are_caught():
    for position in range(len(KEY) - 1):
        a, b = KEY[position : position + 2]
        if a != b:
            assert not keys.is_well_formed(KEY[:position] + b + a + KEY[position + 2 :])


def test_a_key_cut_or_lengthened_is_caught():
    assert not any(keys.is_well_formed(KEY[:length]) for length in range(len(KEY)))
    assert not keys.is_well_formed(KEY + "0")
    assert not keys.is_well_formed(" " + KEY)


@given(st.text() | st.text(alphabet=BASE62, min_size=61, max_size=61).map("sk-rs-".__add__))
def test_hardly_anything_else_is_a_key(text):
    assert not keys.is_well_formed(text)


def test_a_masked_key_shows_too_little_to_use():
    masked = keys.masked(KEY)
    assert masked == f"{KEY[:8]}****{KEY[-4:]}"
    assert len(masked) == 16


@given(st.text(max_size=100))
def test_masking_hides_short_texts_and_the_middle_of_long_ones(text):
    masked = keys.masked(text)
    assert len(masked) <= 16
    if len(text) <= 16:
        assert masked == "****"
