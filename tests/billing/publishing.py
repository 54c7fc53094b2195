"""Short words for published models in tests."""

from decimal import Decimal

from billing.proposals import Way
from runestone.lib.published import Facts, PublishedModel, PublishedPrice
from runestone.lib.usage import Component

UPSTREAM, MODEL = "openai", "gpt-4o"


def price(component: str, usd: str, **more: object) -> PublishedPrice:
    return PublishedPrice(component=Component(component), usd=Decimal(usd), **more)  # type: ignore[arg-type]


def way(*prices: PublishedPrice, upstream: str = UPSTREAM, **doubts: str) -> Way:
    published = PublishedModel(
        name=MODEL,
        stands_for=(MODEL,),
        facts=Facts(),
        origin="a list, read 2026-11-21",
        prices=prices,
        doubts={Component(component): words for component, words in doubts.items()},
    )
    return Way(upstream, MODEL, published)
