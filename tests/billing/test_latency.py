"""Histograms: the same cells in Python and in SQL, and percentiles no further off than a cell."""

import random
from bisect import bisect_right

import pytest
from django.db import connection

from billing.latency import BOUNDS_MS, CELLS, percentile_ms


def cells_of(times):
    cells = [0] * CELLS
    for milliseconds in times:
        cells[bisect_right(BOUNDS_MS, milliseconds)] += 1
    return cells


def test_it_works():
    assert percentile_ms(cells_of([100] * 10), 50) == 125


@pytest.mark.django_db
def test_the_database_has_the_same_cells():
    edges = [0, *(bound + off for bound in BOUNDS_MS for off in (-1, 0, 1)), 2**31 - 1]
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_histogram(ms) FROM unnest(%s::int[]) ms", [edges])
        assert cursor.fetchone() == (cells_of(edges),)
        cursor.execute("SELECT billing_histogram(NULL)")
        assert cursor.fetchone() == ([0] * CELLS,)
        one, other = list(range(CELLS)), list(range(100, 100 + CELLS))
        cursor.execute("SELECT billing_histogram_add(%s::int[], %s::int[])", [one, other])
        assert cursor.fetchone() == ([100 + 2 * n for n in range(CELLS)],)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("percent", [1, 50, 95, 99, 99.9, 100])
def test_it_errs_by_less_than_its_cell(seed, percent):
    chance = random.Random(seed)
    times = sorted(int(chance.lognormvariate(6, 2)) % BOUNDS_MS[-1] for _ in range(2_000))
    exact = times[max(0, -(-len(times) * percent // 100) - 1).__trunc__()]
    cell = bisect_right(BOUNDS_MS, exact)
    told = percentile_ms(cells_of(times), percent)
    assert (0, *BOUNDS_MS)[cell] <= told <= BOUNDS_MS[cell]


def test_percentiles_rise():
    chance = random.Random(1)
    cells = cells_of([int(chance.lognormvariate(6, 2)) for _ in range(500)])
    told = [percentile_ms(cells, percent) for percent in range(1, 101)]
    assert told == sorted(told)


def test_what_is_beyond_the_last_bound_is_not_made_up():
    assert percentile_ms(cells_of([10**7]), 50) == BOUNDS_MS[-1]


def test_of_nothing_there_is_none():
    assert percentile_ms([0] * CELLS, 95) is None


@pytest.mark.parametrize(("cells", "percent"), [([1], 50), ([1] * CELLS, 0), ([1] * CELLS, 101)])
def test_what_makes_no_sense_is_refused(cells, percent):
    with pytest.raises(ValueError, match="cells"):
        percentile_ms(cells, percent)
