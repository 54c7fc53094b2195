"""Where the pages of one app show something of another's. The apps do not know of each other."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, TextField
from django.db.models.functions import Cast, JSONObject
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.dataclasses import SearchResult

from billing.admin.ledger import TenantEntriesDataset
from billing.admin.prices import plain
from billing.admin.tenant_budgets import TenantBudgetsDataset
from billing.models import TOKENS_PER_PRICE, Entry, Price
from providers.admin import ModelAdmin, TenantCredentialsDataset
from providers.models import Model
from runestone.admin.parts import EMPTY, column
from runestone.lib.ids import request_name, request_uuid
from runestone.lib.usage import Component
from tenants.admin import TenantAdmin
from tenants.models import Tenant

_SHOWN = (Component.INPUT.value, Component.OUTPUT.value)


class JoinedTenantAdmin(TenantAdmin):
    change_form_datasets = (
        *TenantAdmin.change_form_datasets,
        TenantCredentialsDataset,
        TenantBudgetsDataset,
        TenantEntriesDataset,
    )


class PricedModelAdmin(ModelAdmin):
    """Prices know models by name only, so they are joined by name, in the list's one query."""

    list_display = (*ModelAdmin.list_display, "price_summary")

    def get_queryset(self, request: HttpRequest) -> Any:
        now = timezone.now()
        present = Price.objects.filter(
            Q(valid_to=None) | Q(valid_to__gt=now),
            model=OuterRef("name"),
            valid_from__lte=now,
            context_from=0,
            component__in=_SHOWN,
            per=TOKENS_PER_PRICE,
        )
        # As text: a JSON number would come back as a float.
        usd = Cast("usd", TextField())
        facts = JSONObject(upstream="upstream", component="component", usd=usd)
        prices = ArraySubquery(present.order_by("upstream", "component").values(facts=facts))
        return super().get_queryset(request).annotate(present_prices=prices)

    @column("in / out per 1M, USD")
    def price_summary(self, obj: Model) -> SafeString:
        ways: dict[str, dict[str, Any]] = {}
        for price in vars(obj)["present_prices"]:
            ways.setdefault(price["upstream"], {})[price["component"]] = plain(
                Decimal(price["usd"])
            )
        if not ways:
            return format_html('<span class="rs-warn">{}</span>', "no price")
        return format_html_join(
            SafeString("<br>"),
            '<span class="rs-nowrap">{} / {} <span class="rs-quiet">{}</span></span>',
            (
                (*(prices.get(component, EMPTY) for component in _SHOWN), upstream)
                for upstream, prices in ways.items()
            ),
        )


def search_request(request: HttpRequest, term: str) -> list[SearchResult]:
    """Ctrl-K with a request's id leads to its page."""
    request_id = request_uuid(term.strip())
    if request_id is None or not request.user.has_perm("billing.view_entry"):
        return []
    entry = Entry.objects.filter(request_id=request_id).first()
    if entry is None:
        return []
    return [
        SearchResult(
            title=request_name(request_id),
            description=f"Ledger: {entry.model} at {entry.upstream}",
            link=reverse("admin:billing_entry_change", args=[entry.pk]),
            icon="receipt_long",
        )
    ]


def register() -> None:
    """Puts the joined pages in the place of the plain ones. Before `admin.site.urls` is read."""
    for model, page in ((Tenant, JoinedTenantAdmin), (Model, PricedModelAdmin)):
        admin.site.unregister(model)
        admin.site.register(model, page)
