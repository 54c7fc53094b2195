from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runestone.lib.money import (
    PICO_PER_USD,
    divide_half_even,
    format_usd,
    pico_from_usd,
    usd_from_pico,
)

# Sums in the database have up to thirty digits.
picos = st.integers(-(10**30), 10**30)


def test_it_works():
    assert pico_from_usd("0.15") == 150_000_000_000
    assert usd_from_pico(150_000) == Decimal("0.00000015")
    assert format_usd(150_000) == "$0.00000015"


@given(picos)
def test_there_and_back_is_exact(pico):
    assert pico_from_usd(usd_from_pico(pico)) == pico


@given(picos)
def test_dollars_are_exact(pico):
    assert Fraction(usd_from_pico(pico)) == Fraction(pico, PICO_PER_USD)


@given(picos)
def test_a_format_can_be_read_back(pico):
    text = format_usd(pico)
    assert pico_from_usd(text.replace("$", "").replace(",", "")) == pico


@given(picos)
def test_nothing_is_a_float(pico):
    assert type(usd_from_pico(pico)) is Decimal
    assert type(pico_from_usd(usd_from_pico(pico))) is int
    assert type(divide_half_even(pico, 7)) is int


@pytest.mark.parametrize(
    "usd",
    ["0.0000000000001", "1.0000000000000000000000000000000000001", "1e-13", "NaN"],
)
def test_what_is_finer_than_a_pico_is_refused(usd):
    with pytest.raises(ValueError, match="finer than a pico"):
        pico_from_usd(usd)


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (0, "$0.00"),
        (PICO_PER_USD, "$1.00"),
        (1, "$0.000000000001"),
        (10**10, "$0.01"),
        (1_500_000_000_000, "$1.50"),
        (1_234_567 * PICO_PER_USD, "$1,234,567.00"),
        (-25 * 10**10, "-$0.25"),
    ],
)
def test_dollars_read_well(pico, text):
    assert format_usd(pico) == text


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (1, 3, 0), (2, 3, 1), (9, 3, 3), (0, 5, 0)],
)
def test_a_half_goes_to_the_even_neighbour(numerator, denominator, rounded):
    assert divide_half_even(numerator, denominator) == rounded


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**20))
def test_rounding_is_pythons_own_of_the_exact_fraction(numerator, denominator):
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))
