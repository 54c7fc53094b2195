"""Money is integers: pico-dollars, 1e-12 USD.

Pico, because of 16,850 published prices 1,122 are not whole nano-dollars a token. A line's amount
fits a bigint (9.2 million USD); sums are unbounded. Nothing here ever touches a float.
"""

from decimal import Decimal

PICO_PER_USD = 10**12
_PLACES = 12


def pico_from_usd(usd: Decimal | str | int) -> int:
    """The whole number of pico-dollars in `usd`; ValueError if it is not whole."""
    amount = Decimal(usd)
    if amount.is_finite():
        numerator, denominator = amount.as_integer_ratio()
        pico, rest = divmod(numerator * PICO_PER_USD, denominator)
        if not rest:
            return pico
    raise ValueError(f"{usd} USD is finer than a pico-dollar, or no number")


def usd_from_pico(pico: int) -> Decimal:
    """`pico` as dollars with twelve places, exact however large."""
    digits = tuple(int(digit) for digit in str(abs(pico)))
    return Decimal((int(pico < 0), digits, -_PLACES))


def format_usd(pico: int) -> str:
    """`pico` exactly and readably: at least cents, and every further digit that is not zero."""
    sign = "-" if pico < 0 else ""
    dollars, rest = divmod(abs(pico), PICO_PER_USD)
    decimals = f"{rest:0{_PLACES}d}".rstrip("0").ljust(2, "0")
    return f"{sign}${dollars:,}.{decimals}"


def divide_half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` rounded once, a half to the even neighbour; denominator > 0."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient
