import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

import providers
from billing.models import Price
from billing.pricing import FALLBACKS, Most, Rate, Tariff, rate
from runestone.lib.money import pico_from_usd
from runestone.lib.usage import NOTHING_USED, STANDARD, Component, Usage

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
MILLION = 1_000_000


def row(
    component,
    usd,
    *,
    number=1,
    per=MILLION,
    context_from=0,
    since=THEN,
    until=None,
    service_tier=STANDARD,
):
    return rate(number, component, Decimal(usd), per, context_from, since, until, service_tier)


# Random tariffs and usages.

tokens = st.integers(0, 2_000_000)
dollars = st.integers(0, 10**15).map(lambda pico: Decimal(pico).scaleb(-12))


@st.composite
def tariffs(draw, always=frozenset()):
    """`always`: components that have a price from the first token on."""
    components = always | draw(st.sets(st.sampled_from(list(Component))))
    rates = []
    for component in sorted(components):
        tiers = draw(st.sets(st.sampled_from([1, 1_000, 272_000]), max_size=2))
        if not tiers or component in always or draw(st.booleans()):
            tiers.add(0)
        for context_from in sorted(tiers):
            usd, per = draw(dollars), draw(st.sampled_from([1, 3, 1_000, MILLION]))
            rates.append(
                row(component, usd, number=len(rates) + 1, per=per, context_from=context_from)
            )
    return rates


PLAIN = frozenset({Component.INPUT, Component.OUTPUT})
# Those without a fallback.
EVERY_KIND = PLAIN | {
    Component.INPUT_AUDIO,
    Component.OUTPUT_AUDIO,
    Component.CACHE_WRITE_1H,
    Component.WEB_SEARCH,
}


@st.composite
def usages(draw, input_max=2_000_000, output_max=2_000_000):
    input_tokens = draw(st.integers(0, input_max))
    output_tokens = draw(st.integers(0, output_max))
    cached = draw(st.integers(0, input_tokens))
    written = draw(st.integers(0, input_tokens - cached))
    for_an_hour = draw(st.integers(0, written))
    heard = draw(st.integers(0, input_tokens - cached - written))
    thought = draw(st.integers(0, output_tokens))
    spoken = draw(st.integers(0, output_tokens - thought))
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=for_an_hour,
        input_audio_tokens=heard,
        output_tokens=output_tokens,
        reasoning_tokens=thought,
        output_audio_tokens=spoken,
        web_searches=draw(st.integers(0, 3)),
    )


def exact_cost(rates: list[Rate], usage: Usage) -> Fraction | None:
    """Told again, in fractions and without shortcuts: the reference."""

    def price_of(component: Component | None) -> Fraction | None:
        if component is None:
            return None
        tiers = {
            each.context_from: Fraction(each.numerator, each.denominator)
            for each in rates
            if each.component is component and each.context_from <= usage.input_tokens
        }
        return tiers[max(tiers)] if tiers else price_of(FALLBACKS.get(component))

    amount = price_of(Component.REQUEST) or Fraction(0)
    for component, quantity in usage.components():
        price = price_of(component)
        if price is None:
            return None
        amount += price * quantity
    return amount


def test_it_works():
    tariff = Tariff([row("input", "0.15", number=7), row("output", "0.60", number=8)])
    cost = tariff.cost(Usage(input_tokens=1_000, output_tokens=100), NOW)
    assert cost.amount_pico == 1_000 * 150_000 + 100 * 600_000
    assert cost.price_ids == [7, 8]


@given(tariffs(), usages())
def test_it_is_the_exact_sum_rounded_once(rates, usage):
    exact = exact_cost(rates, usage)
    cost = Tariff(rates).cost(usage, NOW)
    assert cost.amount_pico == (None if exact is None else round(exact))
    assert cost.amount_pico is None or type(cost.amount_pico) is int


def has_audio(usage):
    return usage.input_audio_tokens + usage.output_audio_tokens > 0


@given(tariffs(always=PLAIN), usages(), tokens, tokens)
def test_a_hold_covers_every_charge_within_its_bounds(rates, usage, more_input, more_output):
    """The invariant on which hard budgets stand."""
    tariff = Tariff(rates)
    most = Most(
        usage.input_tokens + more_input,
        usage.output_tokens + more_output,
        web_searches=usage.web_searches,
    )
    held = tariff.highest_cost(most, NOW)
    charged = tariff.cost(usage, NOW).amount_pico
    assert charged is None or (held is not None and charged <= held)


@given(tariffs(always=EVERY_KIND), usages(), tokens, tokens)
def test_what_can_be_held_for_can_be_charged(rates, usage, more_input, more_output):
    tariff = Tariff(rates)
    most = Most(
        usage.input_tokens + more_input,
        usage.output_tokens + more_output,
        web_searches=usage.web_searches,
        audio=has_audio(usage),
    )
    assert tariff.cost(usage, NOW).amount_pico <= tariff.highest_cost(most, NOW)


def test_audio_without_a_price_cannot_be_held_for():
    tariff = Tariff([row("input", "1"), row("output", "1"), row("input_audio", "1")])
    assert tariff.highest_cost(Most(10, 10), NOW) is not None
    assert tariff.highest_cost(Most(10, 10, audio=True), NOW) is None


@given(tariffs(), st.data())
def test_a_hold_covers_every_split_of_the_same_totals(rates, data):
    tariff = Tariff(rates)
    one, other = (data.draw(usages(input_max=300_000, output_max=10)) for _ in range(2))
    most = Most(
        max(one.input_tokens, other.input_tokens),
        max(one.output_tokens, other.output_tokens),
        web_searches=3,
    )
    held = tariff.highest_cost(most, NOW)
    for usage in (one, other):
        charged = tariff.cost(usage, NOW).amount_pico
        assert held is None or charged is None or charged <= held


def test_a_hold_covers_a_cheaper_tier_that_is_not_reached():
    """Dearer below a tier than above it: the bound is where the dear tier no longer applies."""
    tariff = Tariff(
        [
            row("input", "10"),
            row("input", "1", context_from=1_000),
            row("output", "1"),
            row("request", "1", per=1),
            row("request", "0.1", per=1, context_from=1_000),
        ]
    )
    held = tariff.highest_cost(Most(1_000, 10), NOW)
    assert held >= tariff.cost(Usage(input_tokens=999, output_tokens=10), NOW).amount_pico


@pytest.mark.parametrize(
    ("component", "priced_as"),
    [
        (Component.CACHED_INPUT, Component.INPUT),
        (Component.CACHE_WRITE, Component.INPUT),
        (Component.REASONING, Component.OUTPUT),
    ],
)
def test_a_kind_without_a_price_costs_what_it_is_a_kind_of(component, priced_as):
    tariff = Tariff([row("input", "1", number=1), row("output", "2", number=2)])
    usage = {
        Component.CACHED_INPUT: Usage(input_tokens=10, cached_input_tokens=10),
        Component.CACHE_WRITE: Usage(input_tokens=10, cache_write_tokens=10),
        Component.REASONING: Usage(output_tokens=10, reasoning_tokens=10),
    }[component]
    [charge] = tariff.cost(usage, NOW).charges
    assert (charge.component, charge.rate.component) == (component, priced_as)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=1),
        Usage(output_tokens=1),
        Usage(input_tokens=1, input_audio_tokens=1),
        Usage(output_tokens=1, output_audio_tokens=1),
        Usage(input_tokens=1, cache_write_tokens=1, cache_write_1h_tokens=1),
        Usage(web_searches=1),
    ],
)
def test_an_unknown_price_is_unknown_and_never_zero(usage):
    known = {Component.INPUT, Component.OUTPUT}
    [(component, _)] = usage.components()
    tariff = Tariff([row(each.value, "1") for each in known - {component}])
    assert tariff.cost(usage, NOW).amount_pico is None
    assert Tariff([]).cost(usage, NOW).amount_pico is None
    assert Tariff([]).highest_cost(Most(1, 1), NOW) is None


# Service tiers.

FLEX_AND_PRIORITY = [
    row("input", "10"),
    row("output", "10"),
    row("web_search", "0.01", per=1),
    row("input", "5", service_tier="flex"),
    row("output", "5", service_tier="flex"),
    row("input", "20", service_tier="priority"),
    row("output", "20", service_tier="priority"),
]


@pytest.mark.parametrize(
    ("service_tier", "usd"), [(STANDARD, 10), ("flex", 5), ("priority", 20), ("scale", None)]
)
def test_a_service_tier_has_its_own_price(service_tier, usd):
    usage = Usage(input_tokens=MILLION, service_tier=service_tier)
    amount = Tariff(FLEX_AND_PRIORITY).cost(usage, NOW).amount_pico
    assert amount == (None if usd is None else pico_from_usd(usd))


def test_a_search_costs_the_same_in_every_tier():
    usage = Usage(web_searches=1, service_tier="flex")
    assert Tariff(FLEX_AND_PRIORITY).cost(usage, NOW).amount_pico == pico_from_usd("0.01")


@pytest.mark.parametrize(
    ("asked", "usd"),
    [
        (STANDARD, 10),
        ("priority", 20),
        # Where there is no room in the cheap tier the provider may serve the call in the usual one.
        ("flex", 10),
        ("scale", None),
        # The provider chooses.
        (None, 20),
    ],
)
def test_a_hold_covers_every_tier_that_may_serve_the_call(asked, usd):
    held = Tariff(FLEX_AND_PRIORITY).highest_cost(Most(MILLION, service_tier=asked), NOW)
    assert held == (None if usd is None else pico_from_usd(usd))


def test_a_price_of_zero_is_known():
    tariff = Tariff([row("input", "0"), row("output", "0")])
    assert tariff.cost(Usage(input_tokens=9, output_tokens=9), NOW).amount_pico == 0


def test_nothing_used_costs_nothing_even_if_nothing_is_priced():
    assert Tariff([]).cost(NOTHING_USED, NOW).amount_pico == 0


def test_a_tier_begins_at_its_first_token_and_counts_for_the_whole_call():
    tariff = Tariff([row("input", "4"), row("input", "8", context_from=272_000)])
    below = tariff.cost(Usage(input_tokens=271_999), NOW)
    at = tariff.cost(Usage(input_tokens=272_000), NOW)
    assert below.amount_pico == 271_999 * 4 * MILLION
    assert at.amount_pico == 272_000 * 8 * MILLION


def test_a_price_per_request_is_charged_once():
    tariff = Tariff([row("input", "1"), row("output", "1"), row("request", "0.01", per=1)])
    cost = tariff.cost(Usage(input_tokens=5, output_tokens=5), NOW)
    assert cost.amount_pico == 10 * MILLION + pico_from_usd("0.01")


def test_periods_are_half_open():
    change = datetime(2026, 3, 1, tzinfo=UTC)
    tariff = Tariff([row("input", "1", until=change), row("input", "2", since=change)])
    usage, instant = Usage(input_tokens=MILLION), timedelta(microseconds=1)
    assert tariff.cost(usage, THEN - instant).amount_pico is None
    assert tariff.cost(usage, THEN).amount_pico == pico_from_usd(1)
    assert tariff.cost(usage, change - instant).amount_pico == pico_from_usd(1)
    assert tariff.cost(usage, change).amount_pico == pico_from_usd(2)
    assert tariff.cost(usage, LATER).amount_pico == pico_from_usd(2)


changes = st.lists(st.integers(1, 20), min_size=1, max_size=4, unique=True).map(sorted)


@given(changes, st.lists(st.integers(0, 21), min_size=1))
def test_moments_may_be_asked_in_any_order(days, asked):
    """One tariff serves calls around a change of price: what it remembers must not mix them up."""
    starts = [THEN + timedelta(days=day) for day in days]
    rates = [
        row("input", number, number=number, since=since, until=until)
        for number, (since, until) in enumerate(zip(starts, [*starts[1:], None], strict=True), 1)
    ]
    tariff = Tariff(rates)
    for day in asked:
        cost = tariff.cost(Usage(input_tokens=MILLION), THEN + timedelta(days=day))
        valid = sum(1 for each in days if each <= day)
        assert cost.amount_pico == (pico_from_usd(valid) if valid else None)
        assert cost.price_ids == ([valid] if valid else [])


def test_a_hold_knows_only_the_prices_of_its_moment():
    change = datetime(2026, 3, 1, tzinfo=UTC)
    output = row("output", "0")
    tariff = Tariff([row("input", "9", until=change), row("input", "2", since=change), output])
    assert pico_from_usd(2) <= tariff.highest_cost(Most(MILLION), change) < pico_from_usd(3)


# Prices in the database.


def price(**fields):
    given = {"upstream": "acme", "model": "m", "component": "input", "usd": "1", "valid_from": THEN}
    return Price.objects.create(**given | fields)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("since", "until"),
    [(THEN, None), (THEN, LATER), (NOW, None), (NOW, LATER), (LATER - timedelta(days=1), None)],
)
def test_overlapping_periods_are_refused_by_the_database(since, until):
    price(valid_to=LATER)
    with pytest.raises(IntegrityError, match="price_periods_do_not_overlap"), transaction.atomic():
        price(valid_from=since, valid_to=until)
    with pytest.raises(ValidationError, match="valid in this period"):
        Price(
            upstream="acme", model="m", component="input", usd=1, valid_from=since, valid_to=until
        ).full_clean()


@pytest.mark.django_db
def test_an_open_price_overlaps_everything_after_it():
    price()
    with pytest.raises(IntegrityError, match="price_periods_do_not_overlap"), transaction.atomic():
        price(valid_from=LATER)


@pytest.mark.django_db
def test_adjacent_periods_are_allowed():
    price(valid_from=NOW, valid_to=LATER)
    price(valid_from=LATER)
    price(valid_from=THEN, valid_to=NOW)
    assert Price.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    "other",
    [
        {"upstream": "globex"},
        {"model": "n"},
        {"component": "output"},
        {"context_from": 1},
        {"service_tier": "flex"},
    ],
)
def test_another_component_is_not_in_the_way(other):
    price()
    price(**other)
    assert Price.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"usd": "-0.1"}, "price_not_negative"),
        ({"per": 0}, "price_per_at_least_1"),
        ({"valid_to": THEN - timedelta(days=1)}, "price_ends_no_sooner_than_it_begins"),
    ],
)
def test_nonsense_is_refused_by_the_database(fields, constraint):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        price(**fields)


@pytest.mark.django_db
def test_a_price_keeps_all_its_digits():
    made = price(usd="123456789012.123456789012")
    made.refresh_from_db()
    found = rate(made.id, made.component, made.usd, made.per, 0, THEN, None, STANDARD)
    assert Fraction(found.numerator, found.denominator) == Fraction(123456789012123456789012, 10**6)


# The catalogue that is shipped.

CATALOGUE = json.loads((Path(providers.__file__).parent / "catalog.json").read_text())


def test_every_shipped_price_is_a_whole_number_of_pico_dollars_a_token():
    for model in CATALOGUE["models"]:
        for each in model["prices"]:
            assert isinstance(each["usd"], str), model["name"]
            found = rate(
                1, each["component"], Decimal(each["usd"]), MILLION, 0, THEN, None, STANDARD
            )
            assert found.numerator % found.denominator == 0, (model["name"], each)


def test_every_shipped_model_can_be_held_for():
    for model in CATALOGUE["models"]:
        rates = [
            row(each["component"], each["usd"], context_from=each.get("context_from", 0))
            for each in model["prices"]
        ]
        output_tokens = 16_384 if "chat" in model["capabilities"] else 0
        bound = Tariff(rates).highest_cost(Most(model["context_window"] or 1, output_tokens), NOW)
        assert bound is not None, model["name"]
