"""The ledger: read-only, and quick however long it is.

The list never counts, never sorts by what no index knows, always has a window of time, and gives
up rather than occupy the database. A line's page is its whole request's.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import OperationalError, connection, transaction
from django.db.models import F, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
)
from unfold.datasets import BaseDataset

from billing.admin.ledger_filters import (
    AttemptFilter,
    BetweenFilter,
    EndUserFilter,
    ModelNameFilter,
    OutcomeFilter,
    RecentFilter,
    UpstreamNameFilter,
    window_words,
)
from billing.admin.request_page import request_page
from billing.models import Entry
from runestone.admin.parts import (
    InfinitePaginator,
    PageAdmin,
    ReadOnlyAdmin,
    TabAdmin,
    column,
    noted,
)
from runestone.lib.ids import REQUEST_PREFIX, request_name, request_uuid
from runestone.lib.money import format_usd

STATEMENT_MS_MAX = 5000
RECENT_LINES = 20
# No further apart are a request's attempts looked for, so that a month or two are looked through.
REQUEST_SPAN = timedelta(hours=1)

DOUBTFUL = ("unpriced", "estimated", "orphan")
OUTCOME_COLOURS = {"2": "success", "3": "info", "4": "warning", "5": "danger", "0": "danger"}


class EntryColumns(ReadOnlyAdmin):
    def get_queryset(self, request: HttpRequest) -> Any:
        """Each line with the number of its request's last attempt, looked up for what is shown."""
        siblings = Entry.objects.filter(
            request_id=OuterRef("request_id"),
            created__gt=OuterRef("created") - REQUEST_SPAN,
            created__lt=OuterRef("created") + REQUEST_SPAN,
        )
        last = siblings.order_by(F("attempt").desc()).values("attempt")[:1]
        return super().get_queryset(request).annotate(last_attempt=Subquery(last))

    @column("request")
    def call(self, obj: Entry) -> SafeString:
        name = request_name(obj.request_id)
        short = format_html(
            '<span class="rs-mono" title="{}">{}…{}</span>', name, REQUEST_PREFIX, name[-8:]
        )
        return noted(short, _attempt_words(obj))

    @column("tenant", header=True)
    def payer(self, obj: Entry) -> list[str]:
        return [obj.tenant.name, obj.api_key.name]

    @column("model", header=True)
    def way(self, obj: Entry) -> list[str]:
        return [obj.model, obj.upstream]

    @column("outcome", label=OUTCOME_COLOURS)
    def outcome(self, obj: Entry) -> tuple[str, str]:
        return (str(obj.status // 100), outcome_words(obj))

    @column("tokens in → out")
    def tokens(self, obj: Entry) -> SafeString:
        return format_html(
            '<span class="rs-number">{} → {}</span>',
            f"{obj.input_tokens:,}",
            f"{obj.output_tokens:,}",
        )

    @column("amount")
    def amount(self, obj: Entry) -> SafeString:
        words = line_words(obj)
        tone = "rs-warn" if words in DOUBTFUL else "rs-quiet"
        note = format_html('<small class="{}">{}</small>', tone, words) if words else ""
        amount = "unknown" if obj.amount_pico is None else format_usd(obj.amount_pico)
        return format_html('<span class="rs-number">{}{}</span>', amount, note)


def _attempt_words(entry: Entry) -> str:
    """Nothing, if it is the only one of its request."""
    last = vars(entry)["last_attempt"]
    return "" if last == 1 else f"attempt {entry.attempt} of {last}"


def outcome_words(entry: Entry) -> str:
    return str(entry.status) if entry.status else "died"


def line_words(entry: Entry) -> str:
    """What makes a line other than an ordinary charge: its kind, or how sure its amount is."""
    if entry.price_state == Entry.PriceState.UNPRICED:
        return "unpriced"
    if entry.kind == Entry.Kind.CHARGE and entry.price_state == Entry.PriceState.ESTIMATED:
        return "estimated"
    if entry.saved_pico is not None:
        return f"{entry.kind}, saved {format_usd(entry.saved_pico)}"
    return "" if entry.kind == Entry.Kind.CHARGE else entry.kind


class RecentPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """The first few rows and a way to the rest; no count."""

    template_name = "admin/billing/entry/recent_footer.html"

    @cached_property
    def count(self) -> int:
        # One more than a page: of what it takes for a single page, the list would fetch all rows.
        return self.per_page + 1


class TenantEntries(EntryColumns, TabAdmin):
    """The newest lines of one tenant, as a tab of its page: first in (tenant_id, created)."""

    list_display = ("created", "call", "way", "outcome", "tokens", "amount")
    list_display_links = ("created", "call")
    list_per_page = RECENT_LINES
    paginator = RecentPaginator
    show_full_result_count = False
    ordering = ("-created",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(tenant_id=self.extra_context["object"])


class TenantEntriesDataset(BaseDataset):  # type: ignore[misc]  # unfold ships no types
    model = Entry
    model_admin = TenantEntries
    title = "Recent ledger lines"
    tab = True


@admin.register(Entry)
class EntryAdmin(PageAdmin, EntryColumns):
    page_template = "admin/billing/entry/request.html"
    page_missing = "There is no such line in the ledger."
    list_display = (
        "created",
        "call",
        "payer",
        "way",
        "outcome",
        "tokens",
        "amount",
    )
    list_display_links = ("created", "call")
    list_filter = (
        RecentFilter,
        ("created", BetweenFilter),
        ("tenant", AutocompleteSelectFilter),
        ("api_key", AutocompleteSelectFilter),
        ModelNameFilter,
        UpstreamNameFilter,
        EndUserFilter,
        OutcomeFilter,
        AttemptFilter,
        ("kind", ChoicesDropdownFilter),
        ("price_state", ChoicesDropdownFilter),
    )
    list_select_related = ("tenant", "api_key")
    list_per_page = 100
    list_before_template = "admin/billing/entry/window.html"
    search_fields = ("request_id__exact",)
    search_help_text = "Request: req_… or UUID"
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-created",)
    sortable_by = ("created",)

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        request_id: UUID | None = request_uuid(term)
        if request_id is None:
            messages.warning(request, "That is no request's id: req_ and 32 hex digits, or a UUID.")
            return queryset.none(), False
        return queryset.filter(request_id=request_id), False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Renders at once, so that its queries run inside the time limit."""
        extra_context = (extra_context or {}) | {"window_words": window_words(request)}
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL statement_timeout = %s", [STATEMENT_MS_MAX])
                response = super().changelist_view(request, extra_context)
                return response.render() if isinstance(response, TemplateResponse) else response
        except OperationalError as error:
            if "statement timeout" not in str(error):
                raise
            return self._too_slow(request)

    def page(self, request: HttpRequest, obj: Entry) -> dict[str, Any]:
        return {"title": request_name(obj.request_id), "original": obj, **request_page(obj)}

    def _too_slow(self, request: HttpRequest) -> HttpResponse:
        return TemplateResponse(
            request,
            "admin/billing/entry/too_slow.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": "Too much at once",
                "seconds": STATEMENT_MS_MAX // 1000,
            },
            status=503,
        )
