"""Which upstream serves a call: the routes of best priority, one of them by weight."""

import random

from providers.catalog import CatalogModel
from providers.dialects.base import Target


def choose(model: CatalogModel) -> Target:
    """`model` has at least one target, in order of priority."""
    best = model.targets[0].priority
    rivals = [target for target in model.targets if target.priority == best]
    if len(rivals) == 1:
        return rivals[0]
    weights = [target.weight for target in rivals]
    return random.choices(rivals, weights)[0]  # noqa: S311 -- a load balancer's dice, no secret
