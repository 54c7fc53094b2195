"""By which rule one of several upstreams is chosen for a call."""

from enum import StrEnum


class RoutingPolicy(StrEnum):
    DEFAULT = "default"
    PRIORITY = "priority"
    WEIGHTED = "weighted"
    COST = "cost"
    LATENCY = "latency"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    RoutingPolicy.DEFAULT: "the best priority first, by weight among equals",
    RoutingPolicy.PRIORITY: "strictly by priority",
    RoutingPolicy.WEIGHTED: "by weight alone",
    RoutingPolicy.COST: "what this very call will cost least with",
    RoutingPolicy.LATENCY: "whoever began to answer soonest of late",
}
