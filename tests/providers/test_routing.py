from collections import Counter

from providers.routing import choose
from tests.providers.calls import model, target


def chosen(*targets, times=3_000):
    of = model(*targets)
    return Counter(choose(of).upstream for _ in range(times))


def test_it_works():
    assert chosen(target(upstream="only"), times=1) == {"only": 1}


def test_the_best_priority_takes_all():
    counts = chosen(
        target(upstream="best", priority=1, weight=1),
        target(upstream="second", priority=2, weight=1_000),
        times=200,
    )
    assert counts == {"best": 200}


def test_equals_share_by_weight():
    counts = chosen(
        target(upstream="light", weight=1),
        target(upstream="heavy", weight=3),
        target(upstream="spare", priority=200, weight=9),
    )
    assert counts.keys() == {"light", "heavy"}
    # Twelve standard deviations: this does not fail by chance.
    assert 450 < counts["light"] < 1_050
