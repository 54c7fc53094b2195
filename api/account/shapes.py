"""What `/api/v1` answers. Money stands twice: as decimal US dollars, and as exact pico-dollars."""

from datetime import datetime
from fractions import Fraction

from msgspec import Struct

from billing import receipts
from billing.models import Entry
from billing.receipts import Attempt, ReceiptLine
from runestone.lib.ids import request_name
from runestone.lib.money import usd_from_pico

CURRENCY = "USD"


class Rate(Struct):
    """A price row: `usd` for each `per` units."""

    price_id: int
    component: str
    usd: str
    per: int
    # It applies to calls with at least so many input tokens.
    context_from: int
    service_tier: str | None
    valid_from: datetime


class Part(Struct):
    """Quantity times rate. `amount_pico` is exact, and so may be a fraction, as `7/3`."""

    component: str
    quantity: int
    rate: Rate
    amount_pico: str


class Correction(Struct):
    id: str
    posted_at: datetime
    amount: str | None
    amount_pico: int | None
    price_state: str


class ReceiptAttempt(Struct):
    """One attempt at a provider, as it stands after its corrections.

    `exact_pico` is the sum of the parts, `computed_pico` that sum rounded once, half to even, and
    `amount_pico` what the ledger says. Without parts `note` says why there is no arithmetic.
    """

    id: str
    number: int
    provider: str
    model: str
    kind: str
    status: int
    error: str | None
    service_tier: str | None
    # Made with the tenant's own key: the provider bills the tenant.
    byok: bool
    usage: dict[str, int]
    usage_source: str
    price_state: str
    held: str
    amount: str | None
    amount_pico: int | None
    parts: list[Part]
    exact_pico: str
    computed_pico: int | None
    is_right: bool | None
    note: str | None
    corrections: list[Correction]


class Receipt(Struct):
    """What a request cost, and how that came about. `amount` is null while no price is known."""

    object: str
    request_id: str
    created_at: datetime
    currency: str
    amount: str | None
    amount_pico: int | None
    attempts: list[ReceiptAttempt]


def request_receipt(entries: list[Entry]) -> Receipt:
    """`entries` are all lines of one request; there is one at least."""
    first = min(entries, key=lambda entry: entry.created)
    net = receipts.net_pico(entries)
    return Receipt(
        object="receipt",
        request_id=request_name(first.request_id),
        created_at=first.created,
        currency=CURRENCY,
        amount=_usd(net),
        amount_pico=net,
        attempts=[_attempt(each) for each in receipts.attempts(entries)],
    )


def _attempt(attempt: Attempt) -> ReceiptAttempt:
    line, latest, receipt = attempt.original, attempt.lines[-1], attempt.receipt
    figures = receipt.usage.figures()
    return ReceiptAttempt(
        id=str(line.id),
        number=line.attempt,
        provider=line.upstream,
        model=line.model,
        kind=line.kind,
        status=line.status,
        error=line.error or None,
        service_tier=latest.service_tier or None,
        byok=line.byok,
        usage={name: figure for name, figure in figures.items() if isinstance(figure, int)},
        usage_source=latest.usage_source,
        price_state=latest.price_state,
        held=str(usd_from_pico(line.held_pico)),
        amount=_usd(receipt.stated_pico),
        amount_pico=receipt.stated_pico,
        parts=[_part(each) for each in receipt.lines],
        exact_pico=_exact(receipt.exact),
        computed_pico=receipt.computed_pico,
        is_right=receipt.is_right,
        note=receipt.words or None,
        corrections=[_correction(each) for each in attempt.corrections],
    )


def _part(line: ReceiptLine) -> Part:
    price = line.price
    rate = Rate(
        price_id=price.pk,
        component=price.component,
        usd=f"{price.usd.normalize():f}",
        per=price.per,
        context_from=price.context_from,
        service_tier=price.service_tier or None,
        valid_from=price.valid_from,
    )
    return Part(line.component, line.quantity, rate, _exact(line.amount))


def _correction(entry: Entry) -> Correction:
    amount = _usd(entry.amount_pico)
    return Correction(str(entry.id), entry.posted, amount, entry.amount_pico, entry.price_state)


def _usd(pico: int | None) -> str | None:
    return None if pico is None else f"{usd_from_pico(pico):f}"


def _exact(pico: Fraction) -> str:
    return str(pico)
