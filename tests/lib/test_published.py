"""Published facts and prices are read digit by digit; what is uncertain is told, not guessed."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runestone.lib.published import SourceError, file, open_source
from runestone.lib.published.base import PublishedModel, PublishedPrice
from runestone.lib.usage import Component

GPT = {
    "provider": "openai",
    "id": "gpt-9",
    "family": "gpt",
    "litellm": {
        "mode": "chat",
        "capabilities": ["tools", "vision"],
        "max_input_tokens": 300_000,
        "max_output_tokens": 100_000,
        "deprecation_date": "2027-04-01",
        "usd_per_mtok": {"input": 4.0, "output": 21.0, "cache_write": 0.0},
    },
    "genai_prices": {
        "matched": "gpt-9",
        "context_window": 400_000,
        "usd_per_mtok": {
            "input": {"base": "4", "tiers": [{"from": 272_000, "price": "8"}]},
            "cached_input": "0.4",
            "cache_write_1h": None,
            "output": 20,
        },
    },
}


def written(tmp_path: Path, *models: dict[str, Any], text: str = "") -> str:
    contents = {"generated": "2026-11-21", "sources": {"genai_prices": "genai-prices 1"}}
    path = tmp_path / "models.json"
    path.write_text(text or json.dumps(contents | {"models": models}))
    return str(path)


def found(source: str, name: str = "gpt-9", provider: str = "openai") -> PublishedModel:
    model = open_source(source).model(provider, name)
    assert model is not None
    return model


def prices(model: PublishedModel, service_tier: str = "") -> dict[tuple[str, int], str]:
    return {
        (price.component.value, price.above): f"{price.usd}/{price.per}"
        for price in model.prices
        if price.service_tier == service_tier
    }


def test_a_file_gives_prices_by_tier_and_their_origin(tmp_path: Path):
    model = found(written(tmp_path, GPT))
    assert prices(model) == {
        ("input", 0): "4/1000000",
        ("input", 272_000): "8/1000000",
        ("cached_input", 0): "0.4/1000000",
        ("output", 0): "20/1000000",
    }
    assert model.origin == "genai-prices 1, read 2026-11-21"
    assert model.is_certain


def test_a_file_gives_facts(tmp_path: Path):
    facts = found(written(tmp_path, GPT)).facts
    assert (facts.family, facts.mode, facts.flags) == ("gpt", "chat", {"tools", "vision"})
    assert (facts.context_window, facts.max_output_tokens) == (400_000, 100_000)
    assert facts.retires == date(2027, 4, 1)


def test_another_opinion_is_a_doubt(tmp_path: Path):
    assert found(written(tmp_path, GPT)).doubts == {Component.OUTPUT: "litellm says $21"}


def priced(tmp_path: Path, source: str, usd: str) -> PublishedModel:
    """A model whose price of input is `usd`, written so."""
    entry = {"provider": "v", "id": "m", source: {"usd_per_mtok": {"input": "USD"}}}
    text = json.dumps({"models": [entry]}).replace('"USD"', usd)
    return found(written(tmp_path, text=text), "m", "v")


@pytest.mark.parametrize("source", ["litellm", "genai_prices"])
@pytest.mark.parametrize("usd", ["0.1", "0.15", "1e-7", "123456.000000000001", '"0.000000000001"'])
def test_numbers_are_read_digit_by_digit(tmp_path: Path, source: str, usd: str):
    price = PublishedPrice(component=Component.INPUT, usd=Decimal(usd.strip('"')))
    assert priced(tmp_path, source, usd).prices == (price,)


@pytest.mark.parametrize(
    "usd", ["0", "0.0", '"NaN"', '"Infinity"', "-1", "1e400", "0.30000000000000004"]
)
def test_what_is_no_price_is_told_and_left_out(tmp_path: Path, usd: str):
    model = priced(tmp_path, "genai_prices", usd)
    assert model.prices == ()
    assert [words.split(":")[0] for words in model.left_out] == ["input"]


def test_unknown_components_are_told(tmp_path: Path):
    entry = GPT | {"genai_prices": {"usd_per_mtok": {"input": "1", "dreams": "2"}}}
    assert found(written(tmp_path, entry)).left_out == ("dreams: no component of a price here",)


def test_an_alias_is_uncertain_and_its_target_is_not(tmp_path: Path):
    alias = GPT | {"id": "gpt-latest"}
    source = written(tmp_path, alias)
    assert not found(source, "gpt-latest").is_certain
    assert found(source, "gpt-latest").stands_for == ("gpt-9",)
    assert found(source, "gpt-latest").facts.context_window is None
    assert found(source, "gpt-9").is_certain
    assert found(source, "gpt-9").facts.max_output_tokens is None


def test_unknown_models_are_none_and_doubled_ones_an_error(tmp_path: Path):
    source = open_source(written(tmp_path, GPT, GPT))
    assert source.model("openai", "gpt-1") is None
    assert source.model("azure", "gpt-9") is None
    with pytest.raises(SourceError, match="2 times"):
        source.model("openai", "gpt-9")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"models": 1}', '{"models": [{"id": "x"}]}', '{"models": [1', "\xff"]
)
def test_other_files_are_refused(tmp_path: Path, text: str):
    path = tmp_path / "models.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SourceError, match="not a file of models"):
        open_source(str(path))


def test_files_that_are_missing_or_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SourceError, match="cannot be read"):
        open_source(str(tmp_path / "none.json"))
    monkeypatch.setattr(file, "FILE_BYTES_MAX", 100)
    with pytest.raises(SourceError, match="larger than 100 bytes"):
        open_source(written(tmp_path, GPT))


# --- The package, as far as its own release is pinned ---------------------------------------------


def test_the_package_gives_steps_and_service_tiers():
    model = found("genai-prices", "gpt-5.6-sol")
    assert model.is_certain
    assert model.origin.startswith("genai-prices ")
    assert model.facts.context_window == 1_050_000
    assert prices(model)["input", 0] == "4/1000000"
    assert prices(model)["input", 272_000] == "8/1000000"
    assert prices(model)["web_search", 0] == "10/1000"
    assert prices(model, "flex")["output", 272_000] == "15/1000000"
    assert prices(model, "priority")["cached_input", 0] == "0.8/1000000"
    assert ("web_search", 0) not in prices(model, "flex")
    assert "processing batch: not kept as a price here" in model.left_out
    assert "service_tier fast: not kept as a price here" in model.left_out


def test_the_package_keeps_apart_what_is_written_for_an_hour():
    assert prices(found("genai-prices", "claude-opus-5-5", "anthropic")).keys() >= {
        ("cache_write", 0),
        ("cache_write_1h", 0),
    }


def test_a_price_that_depends_on_the_hour_is_left_to_a_person():
    model = found("genai-prices", "deepseek-v4-pro", "deepseek")
    assert model.prices == ()
    assert model.left_out == ("all prices: they depend on the time of day",)


@pytest.mark.parametrize(
    ("name", "certain"), [("gpt-5.6", True), ("mistral-large-latest", False), ("o3", True)]
)
def test_names_that_the_package_spells_out_are_certain_unless_they_move(name: str, certain: bool):
    provider = "mistral" if name.startswith("mistral") else "openai"
    assert found("genai-prices", name, provider).is_certain == certain


def test_what_the_package_only_matches_by_a_pattern_is_unknown():
    source = open_source("genai-prices")
    assert source.model("openai", "gpt-5.6-sol-2026-01-01") is None
    assert source.model("nobody", "gpt-5") is None


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "genai_prices.data", None)
    with pytest.raises(SourceError, match=r"runestone\[prices\]"):
        open_source("genai-prices")


def test_the_example_of_the_guide_is_read(tmp_path: Path):
    guide = (Path(__file__).parents[2] / "docs" / "models-and-prices.md").read_text()
    [example] = guide.split("```json\n")[1:]
    model = found(written(tmp_path, text=example.split("```")[0]), "gpt-5.6-sol")
    assert prices(model)["input", 272_000] == "8/1000000"
    assert model.facts.context_window == 1_050_000
