"""What the admin pages of all apps share. It knows no app; every app's admin may import it."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold import decorators

from runestone.lib.money import format_usd

if TYPE_CHECKING:
    PlainAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin as PlainAdmin
    from unfold.admin import TabularInline

__all__ = [
    "EMPTY",
    "DeskAdmin",
    "InfinitePaginator",
    "ReadOnlyAdmin",
    "TabAdmin",
    "TabularInline",
    "ask_first",
    "badge",
    "chips",
    "column",
    "noted",
    "page_action",
    "usd",
]

Function = TypeVar("Function", bound=Callable[..., Any])

EMPTY = "-"


class DeskAdmin(PlainAdmin):
    """Every page's habits. No bulk actions: each act is one row's, asked about and logged."""

    actions = None
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    warn_unsaved_form = True
    compressed_fields = True
    empty_value_display = EMPTY

    if TYPE_CHECKING:

        def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]: ...


class ReadOnlyAdmin(DeskAdmin):
    """Rows that only the gateway writes: to be looked at, by nobody to be changed."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class PageAdmin(DeskAdmin):
    """A row's page is made to be read: a template of its own, and no form."""

    page_template: str
    # Said where a link leads to a row that is gone.
    page_missing: str

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What the template shows besides what every page has."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            messages.warning(request, self.page_missing)
            name = f"{self.opts.app_label}_{self.opts.model_name}"
            return HttpResponseRedirect(reverse(f"admin:{name}_changelist"))
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, self.page_template, shared | self.page(request, obj))


class TabAdmin(ReadOnlyAdmin):
    """The columns of a table within another object's page; unfold says whose in extra_context."""

    extra_context: dict[str, Any]
    list_per_page = 20
    sortable_by = ()


class InfinitePaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Never counts the rows, and ends after so many pages: OFFSET reads all that it skips.

    Named like unfold's own, because its header asks for the name before it shows a count.
    """

    template_name = "admin/runestone/pagination_countless.html"
    pages_max = 100

    @cached_property
    def count(self) -> int:
        return self.per_page * self.pages_max


def column(
    description: str,
    *,
    ordering: str | None = None,
    label: Mapping[str, str] | bool | None = None,
    header: bool | None = None,
    boolean: bool | None = None,
) -> Callable[[Function], Function]:
    """A method as a column. `label` maps values to the colours of badges."""
    decorate: Callable[[Function], Function] = decorators.display(
        description=description, ordering=ordering, label=label, header=header, boolean=boolean
    )
    return decorate


def page_action(
    description: str, *, icon: str, permissions: list[str], url_path: str
) -> Callable[[Function], Function]:
    """A button at the top of a row's page. It is a GET: whatever changes something asks first."""
    decorate: Callable[[Function], Function] = decorators.action(
        description=description, icon=icon, permissions=permissions, url_path=url_path
    )
    return decorate


def badge(word: str, colour: str = "", note: str = "") -> SafeString:
    """A word on a ground of unfold's `colour` (success, info, warning, danger), and a note."""
    label = render_to_string("unfold/helpers/label.html", {"text": word, "type": colour})
    return noted(label, note)


def noted(words: SafeString, note: str) -> SafeString:
    """`words`, with a small note below them if there is one."""
    below = format_html("<small>{}</small>", note) if note else ""
    return format_html('<span class="rs-noted">{}{}</span>', words, below)


def chips(words: Iterable[str]) -> SafeString | str:
    """Small words side by side; a dash if there are none."""
    joined = format_html_join("", '<span class="rs-chip">{}</span>', ([word] for word in words))
    return format_html('<span class="rs-chips">{}</span>', joined) if joined else EMPTY


def usd(pico: int | None, missing: str = EMPTY) -> SafeString:
    """An exact amount for a column of amounts, its digits under one another."""
    return format_html(
        '<span class="rs-number">{}</span>', missing if pico is None else format_usd(pico)
    )


def ask_first(
    model_admin: PlainAdmin,
    request: HttpRequest,
    obj: Model,
    *,
    question: str,
    consequence: str,
    verb: str,
    danger: bool = False,
) -> TemplateResponse:
    """A page that says what will happen; its button sends the same address a POST."""
    opts = model_admin.opts
    return TemplateResponse(
        request,
        "admin/runestone/ask_first.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": opts,
            "original": obj,
            "title": question,
            "question": question,
            "consequence": consequence,
            "verb": verb,
            "danger": danger,
        },
    )
