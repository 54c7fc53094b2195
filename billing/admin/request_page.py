"""One request's page: how it was routed, its attempts, and how every amount was computed."""

from fractions import Fraction
from typing import Any

from django.urls import reverse

from billing.admin.prices import plain
from billing.admin.routing_card import outcome, reaches_caller, routing_card
from billing.models import TOKENS_PER_PRICE, BudgetWindow, Entry, Hold, Price
from billing.receipts import Attempt, Receipt, ReceiptLine, attempts, net_pico
from runestone.admin.parts import EMPTY
from runestone.lib.ids import request_name
from runestone.lib.money import PICO_PER_USD, format_usd

_KIND_COLOURS = {
    "charge": "",
    "void": "",
    "correction": "info",
    "orphan": "warning",
    "cached": "info",
}
_STATE_COLOURS = {"priced": "success", "estimated": "warning", "unpriced": "danger"}
_TOKENS = (
    ("Tokens, input", "input_tokens"),
    ("Tokens, of it cached", "cached_input_tokens"),
    ("Tokens, of it written to the cache", "cache_write_tokens"),
    ("Tokens, of these for an hour", "cache_write_1h_tokens"),
    ("Tokens, of it audio", "input_audio_tokens"),
    ("Tokens, output", "output_tokens"),
    ("Tokens, of it reasoning", "reasoning_tokens"),
    ("Tokens, of it audio", "output_audio_tokens"),
    ("Web searches", "web_searches"),
)


def request_page(entry: Entry) -> dict[str, Any]:
    """What the template shows. Four queries, however many attempts."""
    entries = list(
        Entry.objects.filter(request_id=entry.request_id).select_related(
            "tenant", "project", "api_key"
        )
    )
    found = attempts(entries)
    windows = BudgetWindow.objects.select_related(
        "budget__tenant", "budget__project__tenant", "budget__api_key"
    ).in_bulk({each for line in entries for each in line.windows})
    holds = list(Hold.objects.filter(request_id=entry.request_id))
    told = _told(found)
    return {
        "name": request_name(entry.request_id),
        "entry": told,
        "figures": _figures(found, entries),
        "routing": routing_card([each.original for each in found]),
        "attempts": [_attempt(each, is_told=each.original is told) for each in found],
        "counted_against": [windows[each] for each in told.windows if each in windows],
        "held_now": format_usd(sum(hold.amount_pico for hold in holds)) if holds else "",
        "tenant_url": reverse("admin:tenants_tenant_change", args=[told.tenant_id]),
        "key_url": reverse("admin:tenants_apikey_change", args=[told.api_key_id]),
    }


def _told(found: list[Attempt]) -> Entry:
    """The line of the attempt that the caller has heard of."""
    lines = [attempt.original for attempt in found]
    return next(filter(reaches_caller, reversed(lines)), lines[-1])


def _figures(found: list[Attempt], entries: list[Entry]) -> list[dict[str, str]]:
    first, told = found[0].original, _told(found)
    count = len(found)
    tokens_in = sum(entry.input_tokens for entry in entries)
    tokens_out = sum(entry.output_tokens for entry in entries)
    return [
        {
            "name": "Charged",
            "value": _amount(net_pico(entries)),
            "note": f"net of {len(entries)} ledger line{'s' * (len(entries) != 1)}",
        },
        {
            "name": "Outcome",
            "value": str(told.status) if told.status else "died",
            "note": f"{told.error}, " * bool(told.error) + f"{count} attempt{'s' * (count != 1)}",
        },
        {
            "name": "Tokens in → out",
            "value": f"{tokens_in:,} → {tokens_out:,}",
            "note": f"{told.model} at {told.upstream}",
        },
        {
            "name": "Duration",
            "value": _ms(_ms_between(first, told) + told.duration_ms),
            "note": "streamed" if told.streamed else "in one piece",
        },
    ]


def _ms_between(first: Entry, told: Entry) -> int:
    return round((told.created - first.created).total_seconds() * 1_000)


def _attempt(attempt: Attempt, *, is_told: bool) -> dict[str, Any]:
    line = attempt.original
    return {
        "line": line,
        "is_told": is_told,
        "outcome": outcome(line),
        "service_tier": line.service_tier or "standard",
        "kind": line.get_kind_display(),
        "kind_colour": _KIND_COLOURS[line.kind],
        "state": attempt.lines[-1].price_state,
        "state_colour": _STATE_COLOURS[attempt.lines[-1].price_state],
        "settled": _settled(line),
        "first_byte": EMPTY if line.first_byte_ms is None else _ms(line.first_byte_ms),
        "duration": _ms(line.duration_ms),
        "tokens": _tokens(attempt.receipt),
        "history": [_history(each) for each in attempt.lines] if attempt.corrections else [],
        "net": _amount(net_pico(attempt.lines)),
        "receipt": _receipt(attempt.receipt),
    }


def _settled(line: Entry) -> str:
    held = format_usd(line.held_pico)
    if line.amount_pico is None:
        return f"{held} held, all released: no price known"
    released = line.held_pico - line.amount_pico
    words = f"{held} held → {format_usd(line.amount_pico)} settled"
    if released < 0:
        return f"{words}, {format_usd(-released)} more than held"
    return f"{words}, {format_usd(released)} released"


def _tokens(receipt: Receipt) -> list[dict[str, str]]:
    """None of them where nothing was used."""
    if not any(getattr(receipt.usage, name) for _, name in _TOKENS):
        return []
    return [
        {"name": words, "number": f"{number:,}"}
        for words, name in _TOKENS
        if (number := getattr(receipt.usage, name)) or name in ("input_tokens", "output_tokens")
    ]


def _history(line: Entry) -> dict[str, Any]:
    return {
        "id": line.id,
        "posted": line.posted,
        "kind": line.kind,
        "state": line.price_state,
        "tokens": f"{line.input_tokens:,} → {line.output_tokens:,}",
        "amount": _amount(line.amount_pico),
    }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    is_rounded = receipt.computed_pico is not None and receipt.exact != receipt.computed_pico
    return {
        "lines": [_receipt_line(line) for line in receipt.lines],
        "words": receipt.words,
        "exact": exact_usd(receipt.exact),
        "is_rounded": is_rounded,
        "computed": _amount(receipt.computed_pico),
        "stated": _amount(receipt.stated_pico),
        "is_right": receipt.is_right,
    }


def _receipt_line(line: ReceiptLine) -> dict[str, Any]:
    return {
        "component": line.component.replace("_", " "),
        "charged_as": line.price.component.replace("_", " ") if line.is_fallback else "",
        "quantity": f"{line.quantity:,}",
        "rate": _rate(line.price),
        "price": line.price,
        "price_url": reverse("admin:billing_price_change", args=[line.price.pk]),
        "amount": exact_usd(line.amount),
    }


def _rate(price: Price) -> str:
    unit = "1M" if price.per == TOKENS_PER_PRICE else f"{price.per:,}"
    tier = f", from {price.context_from:,} tokens" if price.context_from else ""
    service = f", {price.service_tier} tier" if price.service_tier else ""
    return f"${plain(price.usd)} per {unit}{tier}{service}"


def _amount(pico: int | None) -> str:
    return "unknown" if pico is None else format_usd(pico)


def _ms(milliseconds: int) -> str:
    return f"{milliseconds:,} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:,.1f} s"


def exact_usd(pico: Fraction) -> str:
    """Every digit; what no decimal can say stands behind as a fraction of a pico-dollar."""
    digits = 0
    rest = pico.denominator
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest //= prime
            count += 1
        digits = max(digits, count)
    if rest != 1:
        whole = pico.numerator // pico.denominator
        return f"{format_usd(whole)} + {pico - whole} p$"
    if not digits:
        return format_usd(int(pico))
    scaled = int(pico * 10**digits)
    sign = "-" if scaled < 0 else ""
    dollars, decimals = divmod(abs(scaled), PICO_PER_USD * 10**digits)
    return f"{sign}${dollars:,}.{decimals:0{12 + digits}d}"
