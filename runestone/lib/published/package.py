"""The package genai-prices, an optional extra: dated prices, tiers by length and by service.

It is read as data; its own arithmetic and its updater, which goes online, are not used. A model is
looked up among its vendor's, and only where the package names it in so many words: its patterns
match names that were never checked.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from importlib.metadata import version
from typing import Any

from runestone.lib.published.base import (
    Facts,
    PriceList,
    PublishedModel,
    PublishedPrice,
    SourceError,
)
from runestone.lib.usage import STANDARD, Component

# Service tiers that mean to us what they mean there. Batch is another API, fast a name of priority.
SERVICE_TIERS = ("flex", "priority")
_MILLION = 1_000_000
_THOUSAND = 1_000
_COMPONENTS = {
    "input_mtok": (Component.INPUT, _MILLION),
    "cache_read_mtok": (Component.CACHED_INPUT, _MILLION),
    "cache_write_mtok": (Component.CACHE_WRITE, _MILLION),
    "cache_write_1h_mtok": (Component.CACHE_WRITE_1H, _MILLION),
    "output_mtok": (Component.OUTPUT, _MILLION),
    "output_reasoning_mtok": (Component.REASONING, _MILLION),
    "input_audio_mtok": (Component.INPUT_AUDIO, _MILLION),
    "output_audio_mtok": (Component.OUTPUT_AUDIO, _MILLION),
    "requests_kcount": (Component.REQUEST, _THOUSAND),
    "web_searches_kcount": (Component.WEB_SEARCH, _THOUSAND),
}
_PER_CALL = (Component.REQUEST, Component.WEB_SEARCH)


def opened() -> "PackageSource":
    try:
        data = import_module("genai_prices.data")
    except ImportError:
        raise SourceError(
            "genai-prices is not installed: pip install 'runestone[prices]'"
        ) from None
    return PackageSource(f"genai-prices {version('genai-prices')}", data.providers)


class PackageSource:
    def __init__(self, title: str, providers: list[Any]) -> None:
        self.title = title
        self._providers = {provider.id: provider for provider in providers}
        self._now = datetime.now(UTC)

    def providers(self) -> frozenset[str]:
        return frozenset(self._providers)

    def model(self, provider: str, name: str) -> PublishedModel | None:
        models = self._providers[provider].models if provider in self._providers else []
        found = [model for model in models if model.id == name]
        # A moving name is priced by another's prices of one day; it needs a person's word.
        moves = name.endswith("latest")
        if not found:
            found = [model for model in models if name.lower() in _spelled_out(model.match)]
        if not found:
            return None
        names = tuple(model.id for model in found)
        is_certain = len(found) == 1 and (names == (name,) or not moves)
        prices = self._prices(found[0])
        return PublishedModel(
            name=name,
            stands_for=(name,) if is_certain else names,
            facts=Facts(context_window=found[0].context_window if is_certain else None),
            origin=f"{self.title}, as {names[0]}",
            prices=tuple(prices.prices),
            left_out=tuple(prices.left_out),
        )

    def _prices(self, model: Any) -> PriceList:
        found = PriceList()
        if _depends_on_the_hour(model):
            found.left_out.append("all prices: they depend on the time of day")
            return found
        for price in self._rows(model.get_prices(self._now), STANDARD, found):
            found.add(price)
        for tier in SERVICE_TIERS:
            if self._has_tier(model, tier):
                whole = model.get_prices(self._now, {"service_tier": tier})
                for price in self._rows(whole, tier, found):
                    if price.component not in _PER_CALL:
                        found.add(price)
        found.left_out += sorted(
            {_left_out(each.when) for each in model.price_variants or ()} - {""}
        )
        return found

    def _has_tier(self, model: Any, tier: str) -> bool:
        return any(
            variant.when == {"service_tier": tier}
            and (variant.constraint is None or variant.constraint.active(self._now))
            for variant in model.price_variants or ()
        )

    def _rows(self, prices: Any, service_tier: str, found: PriceList) -> Iterator[PublishedPrice]:
        for key, price in vars(prices).items():
            if price is None:
                continue
            if key not in _COMPONENTS:
                words = f"{key}: no component of a price here"
                if words not in found.left_out:
                    found.left_out.append(words)
                continue
            component, per = _COMPONENTS[key]
            for above, usd in _steps(price):
                yield PublishedPrice(
                    component=component, usd=usd, per=per, above=above, service_tier=service_tier
                )


def _steps(price: Any) -> Iterator[tuple[int, Decimal]]:
    """A plain price, or one by length; a step holds above its start, as the package has it."""
    if isinstance(price, Decimal):
        yield 0, price
        return
    yield 0, price.base
    for step in price.tiers:
        yield step.start, step.price


def _spelled_out(match: Any) -> frozenset[str]:
    """The names that a rule of the package tells in full, in lower case."""
    if hasattr(match, "equals"):
        return frozenset({match.equals.lower()})
    return frozenset().union(*(_spelled_out(each) for each in getattr(match, "or_", ())))


def _depends_on_the_hour(model: Any) -> bool:
    conditional = model.prices if isinstance(model.prices, list) else []
    constraints = [each.constraint for each in (*conditional, *(model.price_variants or ()))]
    return any(hasattr(constraint, "start_time") for constraint in constraints)


def _left_out(when: dict[str, str]) -> str:
    [(key, value), *others] = when.items()
    if key == "service_tier" and not others and value in (*SERVICE_TIERS, "default"):
        return ""
    return (
        " and ".join(f"{key} {value}" for key, value in when.items()) + ": not kept as a price here"
    )
