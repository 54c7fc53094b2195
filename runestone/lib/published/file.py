"""A JSON file with what two sources say, side by side.

{"generated": "2026-11-21", "sources": {"litellm": "…", "genai_prices": "…"}, "models": [
  {"provider": "openai", "id": "gpt-5.6", "family": "gpt-5",
   "litellm": {"mode": "chat", "capabilities": ["tools"], "max_input_tokens": 922000,
               "max_output_tokens": 128000, "deprecation_date": null,
               "usd_per_mtok": {"input": 4.0, "output": 20.0}},
   "genai_prices": {"matched": "gpt-5.6-sol", "context_window": 1050000,
                    "usd_per_mtok": {"input": {"base": "4",
                                               "tiers": [{"from": 272000, "price": "8"}]}}}}]}

Either part of a model may be null. Prices are US dollars for a million tokens, as numbers or as
texts; both are read as decimals, digit by digit. A tier holds for calls of more input tokens than
its "from", as genai-prices has it. Prices come from genai_prices where it has any.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Struct

from runestone.lib.published.base import (
    Facts,
    PriceList,
    PublishedModel,
    PublishedPrice,
    SourceError,
)
from runestone.lib.usage import Component

FILE_BYTES_MAX = 64 * 1024 * 1024
_PER_TOKEN = frozenset(Component) - {Component.REQUEST, Component.WEB_SEARCH}

# Up to what a column of the catalogue holds.
Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Step(Struct):
    above: Tokens = msgspec.field(name="from")
    price: Decimal


class Tiered(Struct):
    base: Decimal
    tiers: list[Step] = []


class Litellm(Struct):
    mode: str | None = None
    capabilities: list[str] = []
    max_input_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    usd_per_mtok: dict[str, Tiered | Decimal | None] = {}
    deprecation_date: date | None = None


class GenaiPrices(Struct):
    matched: Name | None = None
    context_window: Tokens | None = None
    usd_per_mtok: dict[str, Tiered | Decimal | None] = {}


class Entry(Struct):
    provider: Name
    id: Name
    family: Annotated[str, msgspec.Meta(max_length=64)] = ""
    litellm: Litellm | None = None
    genai_prices: GenaiPrices | None = None


class Contents(Struct):
    models: list[Entry]
    generated: str = ""
    sources: dict[str, str] = {}

    def origin(self, source: str) -> str:
        read = f", read {self.generated}" if self.generated else ""
        return self.sources.get(source, source) + read


def read(path: Path) -> "FileSource":
    """Raises SourceError if it is not there, not of this shape, or too large."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise SourceError(f"{path} is larger than {FILE_BYTES_MAX:,} bytes")
    try:
        return FileSource(path.name, msgspec.json.decode(content, type=Contents))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not a file of models: {error}") from None


class FileSource:
    def __init__(self, name: str, contents: Contents) -> None:
        self.title = name
        self._contents = contents
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        for entry in contents.models:
            self._entries.setdefault((entry.provider, entry.id), []).append(entry)
        # What an alias stands for can be asked for by its own name, too.
        for entry in contents.models:
            if (key := (entry.provider, _priced_as(entry))) not in self._entries:
                self._entries[key] = [_without_alias(entry)]

    def providers(self) -> frozenset[str]:
        return frozenset(provider for provider, _ in self._entries)

    def model(self, provider: str, name: str) -> PublishedModel | None:
        entries = self._entries.get((provider, name), [])
        if len(entries) > 1:
            raise SourceError(f"{provider}/{name} is there {len(entries)} times")
        return self._published(entries[0]) if entries else None

    def _published(self, entry: Entry) -> PublishedModel:
        first = _price_list(entry.genai_prices.usd_per_mtok if entry.genai_prices else {})
        second = _price_list(entry.litellm.usd_per_mtok if entry.litellm else {})
        origin = self._contents.origin("genai_prices")
        if second.prices and not first.prices:
            first, second = second, PriceList()
            origin = self._contents.origin("litellm")
        return PublishedModel(
            name=entry.id,
            stands_for=(_priced_as(entry),),
            facts=_facts(entry),
            origin=origin,
            prices=tuple(first.prices),
            left_out=tuple(first.left_out),
            doubts=_doubts(first, second),
        )


def _priced_as(entry: Entry) -> str:
    return (entry.genai_prices and entry.genai_prices.matched) or entry.id


def _without_alias(entry: Entry) -> Entry:
    """As its target; what litellm says is of the alias, not of the target."""
    return msgspec.structs.replace(entry, id=_priced_as(entry), litellm=None)


def _facts(entry: Entry) -> Facts:
    litellm = entry.litellm or Litellm()
    is_alias = _priced_as(entry) != entry.id
    window = entry.genai_prices.context_window if entry.genai_prices and not is_alias else None
    return Facts(
        family=entry.family,
        mode=litellm.mode or "",
        flags=frozenset(litellm.capabilities),
        context_window=window,
        max_input_tokens=litellm.max_input_tokens,
        max_output_tokens=litellm.max_output_tokens,
        retires=litellm.deprecation_date,
    )


def _price_list(usd_per_mtok: dict[str, Tiered | Decimal | None]) -> PriceList:
    found = PriceList()
    for name, price in usd_per_mtok.items():
        if price is None:
            continue
        if name in _PER_TOKEN:
            for each in _steps(Component(name), price):
                found.add(each)
        else:
            found.left_out.append(f"{name}: no component of a price here")
    return found


def _steps(component: Component, price: Tiered | Decimal) -> Iterator[PublishedPrice]:
    if isinstance(price, Decimal):
        yield PublishedPrice(component=component, usd=price)
        return
    yield PublishedPrice(component=component, usd=price.base)
    for step in price.tiers:
        yield PublishedPrice(component=component, usd=step.price, above=step.above)


def _doubts(first: PriceList, second: PriceList) -> dict[Component, str]:
    others = {price.component: price.usd for price in second.prices if not price.above}
    return {
        price.component: f"litellm says ${others[price.component].normalize():f}"
        for price in first.prices
        if not price.above and others.get(price.component, price.usd) != price.usd
    }
