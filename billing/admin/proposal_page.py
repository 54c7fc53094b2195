"""A proposal's page: all components of its model side by side, ours and the proposed ones."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.admin.prices import plain
from billing.models import TOKENS_PER_PRICE, Price, PriceKey, PriceProposal, unit_usd
from billing.pricing import FALLBACKS
from runestone.admin.parts import EMPTY
from runestone.lib.usage import Component

_State = PriceProposal.State
# Components in the order of usage, not of the alphabet.
COMPONENT_PLACES = {component.value: place for place, component in enumerate(Component)}
_TENTH = Decimal("0.1")


def proposal_page(proposal: PriceProposal) -> dict[str, Any]:
    """What the template shows. Three queries."""
    names = {"upstream": proposal.upstream, "model": proposal.model}
    now = timezone.now()
    valid = Q(valid_to=None) | Q(valid_to__gt=now)
    prices = {
        price.key: price for price in Price.objects.filter(valid, valid_from__lte=now, **names)
    }
    waiting = {each.key: each for each in PriceProposal.objects.filter(state=_State.OPEN, **names)}
    if proposal.state != _State.OPEN:
        waiting.setdefault(proposal.key, proposal)
    keys = sorted({*prices, *waiting}, key=place)
    return {
        "proposal": proposal,
        "is_open": proposal.state == _State.OPEN,
        "open_count": sum(each.state == _State.OPEN for each in waiting.values()),
        "decided_by": str(proposal.decided_by or ""),
        "approve_url": _url(proposal, "approve_one"),
        "approve_all_url": _url(proposal, "approve_model"),
        "reject_url": _url(proposal, "reject_one"),
        "price_url": proposal.price_id
        and reverse("admin:billing_price_change", args=[proposal.price_id]),
        "rows": [_row(key, proposal, prices, waiting.get(key)) for key in keys],
    }


def _url(proposal: PriceProposal, action: str) -> str:
    return reverse(f"admin:billing_priceproposal_{action}", args=[proposal.pk])


def place(key: PriceKey) -> tuple[str, int, int]:
    return key.service_tier, COMPONENT_PLACES[key.component], key.context_from


def _row(
    key: PriceKey,
    proposal: PriceProposal,
    prices: dict[PriceKey, Price],
    waiting: PriceProposal | None,
) -> dict[str, Any]:
    ours = prices.get(key)
    is_decided = waiting is not None and waiting.state != _State.OPEN
    return {
        "component": component_words(key),
        "present": price_words(ours.usd, ours.per) if ours else _missing(key, prices),
        "proposed": price_words(waiting.proposed_usd, waiting.per) if waiting else None,
        "change": change_words(waiting) if waiting else "",
        "note": waiting.note if waiting else "",
        "state": waiting.state if waiting and is_decided else "",
        "is_this": waiting is not None and waiting.pk == proposal.pk,
        "url": reverse("admin:billing_priceproposal_change", args=[waiting.pk]) if waiting else "",
    }


def _missing(key: PriceKey, prices: Iterable[PriceKey]) -> SafeString:
    """What a component without a price of its own costs."""
    fallback = FALLBACKS.get(Component(key.component))
    has_fallback = fallback and any(
        (each.component, each.service_tier) == (fallback, key.service_tier) for each in prices
    )
    words = f"none: charged as {fallback}" if has_fallback else "none"
    return format_html('<span class="rs-quiet">{}</span>', words)


def component_words(key: PriceKey) -> SafeString:
    facts = []
    if key.service_tier:
        facts.append(key.service_tier)
    if key.context_from:
        facts.append(f"from {key.context_from:,} tokens")
    return format_html(
        '<span class="rs-nowrap">{} <span class="rs-quiet">{}</span></span>',
        key.component.replace("_", " "),
        ", ".join(facts),
    )


def price_words(usd: Decimal | None, per: int | None, missing: str = EMPTY) -> SafeString:
    if usd is None or per is None:
        return format_html('<span class="rs-number rs-quiet">{}</span>', missing)
    unit = "1M" if per == TOKENS_PER_PRICE else f"{per:,}"
    return format_html(
        '<span class="rs-number">${} <span class="rs-quiet">per {}</span></span>', plain(usd), unit
    )


def change_words(proposal: PriceProposal) -> SafeString:
    """The change in percent of our price: dearer warns, cheaper is good; the sign tells it too."""
    if proposal.present_usd is None or proposal.present_per is None:
        return SafeString('<span class="rs-number">new</span>')
    present = unit_usd(proposal.present_usd, proposal.present_per)
    if not present:
        return SafeString('<span class="rs-number rs-bad">was free</span>')
    change = (unit_usd(proposal.proposed_usd, proposal.per) / present - 1) * 100
    percent = (Decimal(change.numerator) / change.denominator).quantize(_TENTH, ROUND_HALF_EVEN)
    tone, sign = ("rs-bad", "+") if change > 0 else ("rs-good", "\u2212")
    words = f"{abs(percent):,}" if percent else f"under {_TENTH}"
    return format_html('<span class="rs-number {}">{}{}%</span>', tone, sign, words)
