"""Histograms of milliseconds as roll-ups keep them, and percentiles that are honest about it.

A percentile of percentiles means nothing; counts of cells can be added, over any buckets.
"""

from collections.abc import Sequence
from itertools import pairwise

# Cell n counts [bound n - 1, bound n). rollups.sql has the same bounds, and they never change:
# buckets of before and after could not be added.
BOUNDS_MS = (
    10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000,
    10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000,
)  # fmt: skip
# The last one has no upper bound: what is in it took at least the last bound.
CELLS = len(BOUNDS_MS) + 1


def percentile_ms(cells: Sequence[int], percent: float) -> float | None:
    """The time within which `percent` of what was measured came; None if nothing was measured.

    Within its cell it is interpolated, so it errs by less than the cell is wide. Beyond the last
    bound only that bound is known, and given.
    """
    if len(cells) != CELLS or not 0 < percent <= 100:
        raise ValueError(f"{percent} % of {len(cells)} cells")
    wanted = sum(cells) * percent / 100
    if not wanted:
        return None
    below = 0
    for count, (starts, ends) in zip(cells, pairwise((0, *BOUNDS_MS)), strict=False):
        if count and below + count >= wanted:
            return starts + (ends - starts) * (wanted - below) / count
        below += count
    return float(BOUNDS_MS[-1])
