"""`manage.py propose_prices`: routes joined with prices; what is uncertain is listed."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import Price, PriceProposal
from providers.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db


def entry(name: str, provider: str = "openai", matched: str = "", **usd: Any) -> dict[str, Any]:
    genai = {"matched": matched or name, "usd_per_mtok": usd}
    return {"provider": provider, "id": name, "genai_prices": genai}


def run(tmp_path: Path, *entries: dict[str, Any], **options: Any) -> str:
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"models": entries}))
    return run_source(str(path), **options)


def run_source(source: str, **options: Any) -> str:
    out = StringIO()
    call_command("propose_prices", source, stdout=out, **options)
    return out.getvalue()


def route(upstream_model: str, slug: str = "openai", name: str = "") -> Route:
    upstream, _ = Upstream.objects.get_or_create(
        slug=slug, defaults={"name": slug, "dialect": "openai", "base_url": "https://x.example/v1"}
    )
    model, _ = Model.objects.get_or_create(name=name or upstream_model)
    return Route.objects.create(model=model, upstream=upstream, upstream_model=upstream_model)


def test_a_price_is_proposed_under_our_own_names(tmp_path: Path):
    route("gpt-9", name="house-model")
    Price.objects.create(upstream="openai", model="house-model", component="input", usd="2.5")
    said = run(tmp_path, entry("gpt-9", input="3"))
    assert "proposed: openai/house-model input: $2.5 per 1M -> $3 per 1M" in said
    assert "1 proposed, 0 agree" in said
    assert "No price has changed" in said
    assert Price.objects.get().usd == PriceProposal.objects.get().present_usd


def test_a_dry_run_writes_nothing(tmp_path: Path):
    route("gpt-9")
    said = run(tmp_path, entry("gpt-9", input="3"), dry_run=True)
    assert "1 proposed" in said
    assert "Nothing was written" in said
    assert not PriceProposal.objects.exists()


def test_an_alias_needs_a_mapping(tmp_path: Path):
    route("gpt-latest")
    entries = [entry("gpt-latest", matched="gpt-9", input="3"), entry("gpt-9", input="4")]
    said = run(tmp_path, *entries)
    wanted = "needs a mapping (--map): openai/gpt-latest (the source prices it as gpt-9)"
    assert wanted in said
    assert not PriceProposal.objects.exists()
    run(tmp_path, *entries, map=["gpt-latest=gpt-9"])
    assert PriceProposal.objects.get().proposed_usd == 4


def test_a_vendor_is_known_by_its_slug_or_by_a_persons_word(tmp_path: Path):
    route("gpt-9", slug="azure-eu")
    assert "not in the source: azure-eu/gpt-9" in run(tmp_path, entry("gpt-9", input="3"))
    run(tmp_path, entry("gpt-9", input="3"), provider=["azure-eu=openai"])
    assert PriceProposal.objects.get().upstream == "azure-eu"


def test_one_upstream_only(tmp_path: Path):
    route("gpt-9")
    route("claude", slug="anthropic")
    entries = [entry("gpt-9", input="3"), entry("claude", "anthropic", input="5")]
    run(tmp_path, *entries, upstream="anthropic")
    assert PriceProposal.objects.get().upstream == "anthropic"


def test_free_is_not_proposed_but_told(tmp_path: Path):
    route("gpt-9")
    said = run(tmp_path, entry("gpt-9", input="0", output=0, cached_input=None))
    assert "left out: input: published as $0, which may mean unknown: openai/gpt-9" in said
    assert not PriceProposal.objects.exists()


def test_prices_that_only_we_have_are_told_and_stay(tmp_path: Path):
    route("gpt-9")
    Price.objects.create(upstream="openai", model="gpt-9", component="reasoning", usd="1")
    said = run(tmp_path, entry("gpt-9", input="3"))
    assert "only here: openai/gpt-9 reasoning: $1 per 1M" in said
    assert Price.objects.get().valid_to is None


def test_the_package_has_service_tiers_and_says_what_it_leaves_out():
    route("gpt-5.6-sol")
    said = run_source("genai-prices")
    assert "openai/gpt-5.6-sol input flex from 272,001 tokens: none -> $4 per 1M" in said
    assert "openai/gpt-5.6-sol input priority: none -> $8 per 1M" in said
    assert "left out: service_tier fast: not kept as a price here: openai/gpt-5.6-sol" in said
    assert set(PriceProposal.objects.values_list("service_tier", flat=True)) == {
        "",
        "flex",
        "priority",
    }


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"provider": ["a=nobody"]}, "has no provider 'nobody'"),
        ({"provider": ["a"]}, "'a' is no NAME=NAME"),
        ({"map": ["=b"]}, "'=b' is no NAME=NAME"),
    ],
    ids=["stranger", "no equals", "no name"],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, Any], why: str):
    with pytest.raises(CommandError, match=why):
        run(tmp_path, entry("gpt-9", input="3"), **options)


def test_a_source_that_contradicts_itself_is_refused(tmp_path: Path):
    route("gpt-9")
    with pytest.raises(CommandError, match="2 times"):
        run(tmp_path, entry("gpt-9", input="3"), entry("gpt-9", input="4"))
    assert not PriceProposal.objects.exists()
