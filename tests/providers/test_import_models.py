"""Facts are shown, then applied; what a person has set stays, and nothing is deleted."""

import json
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from providers.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db
Run = Any


def entry(name: str = "gpt-9", provider: str = "openai", **changes: Any) -> dict[str, Any]:
    litellm = {
        "mode": "chat",
        "capabilities": ["vision", "tools", "prefill"],
        "max_input_tokens": 272_000,
        "max_output_tokens": 128_000,
        "deprecation_date": "2027-04-01",
    }
    facts = {"provider": provider, "id": name, "family": "gpt", "litellm": litellm | changes}
    return facts | {"genai_prices": {"matched": name, "context_window": 400_000}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def said(*entries: dict[str, Any], **options: Any) -> str:
        path = tmp_path / "models.json"
        path.write_text(json.dumps({"models": entries}))
        out = StringIO()
        call_command("import_models", str(path), stdout=out, **options)
        return out.getvalue()

    return said


@pytest.fixture
def model() -> Model:
    return Model.objects.create(name="gpt-9", owned_by="openai")


def test_differences_are_shown_and_nothing_is_written(run: Run, model: Model):
    said = run(entry())
    for words in (
        "gpt-9: context_window: none -> 400,000",
        "gpt-9: max_output_tokens: none -> 128,000",
        "gpt-9: capabilities: +chat +streaming +tools +vision",
        "gpt-9: retires: none -> 2027-04-01",
        "Nothing was written",
    ):
        assert words in said
    model.refresh_from_db()
    assert (model.context_window, model.imported_facts) == (None, {})


def test_applying_fills_the_model(run: Run, model: Model):
    run(entry(), apply=True)
    model.refresh_from_db()
    assert (model.family, model.context_window, model.max_output_tokens) == (
        "gpt",
        400_000,
        128_000,
    )
    assert model.capabilities == ["chat", "streaming", "tools", "vision"]
    assert model.retires == date(2027, 4, 1)
    assert model.imported_facts["source"] == "models.json: openai/gpt-9"


def test_a_second_time_there_is_nothing_to_do(run: Run, model: Model):
    run(entry(), apply=True)
    assert run(entry()) == "Nothing was written: --apply does it.\n"


def test_what_an_import_wrote_follows_the_source(run: Run, model: Model):
    run(entry(), apply=True)
    said = run(entry(max_output_tokens=64_000, deprecation_date="2028-01-01"), apply=True)
    assert "gpt-9: max_output_tokens: 128,000 -> 64,000" in said
    model.refresh_from_db()
    assert (model.max_output_tokens, model.retires) == (64_000, date(2028, 1, 1))


@pytest.mark.parametrize("by_hand", [100_000, None], ids=["changed", "emptied"])
def test_what_was_changed_by_hand_stays_unless_forced(run: Run, model: Model, by_hand: int | None):
    run(entry(), apply=True)
    Model.objects.update(max_output_tokens=by_hand)
    changed = entry(max_output_tokens=64_000, deprecation_date="2028-01-01")
    said = run(changed, apply=True)
    assert "max_output_tokens stays, for no import wrote it" in said
    model.refresh_from_db()
    assert (model.max_output_tokens, model.retires) == (by_hand, date(2028, 1, 1))
    run(changed, apply=True, force=True)
    model.refresh_from_db()
    assert model.max_output_tokens == 64_000


def test_what_was_there_before_any_import_was_set_by_hand(run: Run, model: Model):
    Model.objects.update(context_window=8_000, capabilities=["chat"])
    run(entry(), apply=True)
    model.refresh_from_db()
    assert (model.context_window, model.capabilities) == (8_000, ["chat"])
    assert model.max_output_tokens == 128_000


def test_agreement_counts_as_written(run: Run, model: Model):
    Model.objects.update(
        max_output_tokens=128_000, capabilities=["vision", "tools", "streaming", "chat"]
    )
    assert "capabilities" not in run(entry(), apply=True)
    run(entry(max_output_tokens=64_000), apply=True)
    model.refresh_from_db()
    assert model.max_output_tokens == 64_000


def test_what_a_source_does_not_say_is_not_emptied(run: Run, model: Model):
    run(entry(), apply=True)
    run({"provider": "openai", "id": "gpt-9"}, apply=True)
    model.refresh_from_db()
    assert (model.context_window, model.family) == (400_000, "gpt")


def test_a_window_smaller_than_its_input_is_doubtful(run: Run, model: Model):
    said = run(entry(max_input_tokens=1_047_576), apply=True)
    assert "left out: a window of 400,000 tokens, but 1,047,576 of input" in said
    model.refresh_from_db()
    assert (model.context_window, model.max_output_tokens) == (None, 128_000)


def test_the_most_input_is_not_the_window(run: Run, model: Model):
    alone = entry() | {"genai_prices": None}
    run(alone, apply=True)
    model.refresh_from_db()
    assert model.context_window is None


def test_a_model_for_something_else_is_doubtful(run: Run, model: Model):
    assert "mode image_generation is nothing" in run(entry(mode="image_generation"), apply=True)
    model.refresh_from_db()
    assert model.capabilities == []


def route(model: Model, slug: str, upstream_model: str, priority: int) -> None:
    upstream = Upstream.objects.create(
        slug=slug, name=slug, dialect="openai", base_url="https://x.example/v1"
    )
    Route.objects.create(
        model=model, upstream=upstream, upstream_model=upstream_model, priority=priority
    )


def test_a_model_under_our_own_name_is_known_by_its_first_route(run: Run):
    ours = Model.objects.create(name="house-model", owned_by="us")
    route(ours, "second", "gpt-9", 20)
    route(ours, "first", "llama", 10)
    entries = [entry(), entry("llama", "groq", max_output_tokens=32_768)]
    assert "not in the source: house-model" in run(*entries)
    run(*entries, apply=True, provider=["first=groq", "second=openai"])
    ours.refresh_from_db()
    assert ours.max_output_tokens == 32_768


def test_no_model_is_made_or_deleted(run: Run, model: Model):
    Model.objects.create(name="local")
    assert "not in the source: local" in run(entry(), entry("gpt-10"), apply=True)
    assert set(Model.objects.values_list("name", flat=True)) == {"gpt-9", "local"}


def test_the_package_gives_windows():
    model = Model.objects.create(name="gpt-5.6-sol", owned_by="openai", max_output_tokens=5)
    call_command("import_models", "genai-prices", apply=True, stdout=StringIO())
    model.refresh_from_db()
    assert (model.context_window, model.max_output_tokens) == (1_050_000, 5)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"force": True}, "--force needs --apply"),
        ({"provider": ["x=nobody"]}, "no provider 'nobody'"),
    ],
    ids=["force", "stranger"],
)
def test_options_are_checked(run: Run, options: dict[str, Any], why: str):
    with pytest.raises(CommandError, match=why):
        run(entry(), **options)


def test_a_source_that_contradicts_itself_changes_nothing(run: Run, model: Model):
    with pytest.raises(CommandError, match="2 times"):
        run(entry(), entry(), apply=True)
    model.refresh_from_db()
    assert model.imported_facts == {}
