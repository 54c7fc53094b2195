"""By which rule one of several upstreams is chosen for a call."""

from enum import StrEnum


class RoutingPolicy(StrEnum):
    DEFAULT = "default"  # the best priority first, by weight among equals
    PRIORITY = "priority"  # strictly by priority
    WEIGHTED = "weighted"  # by weight alone
    COST = "cost"  # what this very call will cost least with
    LATENCY = "latency"  # whoever began to answer soonest of late
