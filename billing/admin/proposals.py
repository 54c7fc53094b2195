"""Published prices that wait for a decision: the old price, the new one, and two buttons."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.db.models import Case, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.admin.proposal_page import (
    COMPONENT_PLACES,
    change_words,
    component_words,
    place,
    price_words,
    proposal_page,
)
from billing.decisions import CannotDecide, approve, reject
from billing.models import PriceProposal
from runestone.admin.parts import EMPTY, PageAdmin, column, page_action

STATE_COLOURS = {"open": "info", "approved": "success", "rejected": "danger", "superseded": ""}
_State = PriceProposal.State
_OPEN = "Open"
_PLACE = Case(*(When(component=name, then=number) for name, number in COMPONENT_PLACES.items()))


class StateFilter(DropdownFilter):  # type: ignore[misc]  # unfold ships no types
    """Open ones first; what is decided is looked up."""

    title = "state"
    parameter_name = "state"
    all_option = ("", _OPEN)

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in _State if state != _State.OPEN]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(state=self.value() or _State.OPEN)


class UpstreamFilter(DropdownFilter):  # type: ignore[misc]  # unfold ships no types
    title = "upstream"
    parameter_name = "upstream"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        slugs = PriceProposal.objects.order_by("upstream").values_list("upstream", flat=True)
        return [(slug, slug) for slug in slugs.distinct()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(upstream=self.value()) if self.value() else queryset


class GroupedList(ChangeList):
    """Marks the first row of each model, which alone shows its name where rows are a table."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        previous = None
        for row in self.result_list:
            group = (row.model, row.upstream)
            vars(row)["_leads"] = group != previous
            previous = group


class MomentForm(forms.Form):
    valid_from = forms.DateTimeField(
        required=False,
        label="Valid from, UTC",
        widget=UnfoldAdminTextInputWidget({"placeholder": "now"}),
        help_text="2027-01-31 00:00. Empty: from the moment of the approval.",
    )


@admin.register(PriceProposal)
class PriceProposalAdmin(PageAdmin):
    page_template = "admin/billing/priceproposal/page.html"
    page_missing = "There is no such proposal."
    list_display = ("way", "part", "present", "proposed", "change", "state_badge", "origin")
    list_display_links = ("way", "part")
    list_filter = (StateFilter, UpstreamFilter)
    search_fields = ("model", "upstream")
    search_help_text = "Model or upstream"
    # Whatever else sorts would tear a model's rows apart.
    sortable_by = ()
    list_per_page = 100
    actions_detail = ("approve_one", "approve_model", "reject_one")

    # --- What may be done ------------------------------------------------------------------------

    def has_view_permission(self, request: HttpRequest, obj: PriceProposal | None = None) -> bool:
        return request.user.has_perm("billing.view_price") or self.has_decide_permission(request)

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Approving ends one price and adds another."""
        return request.user.has_perms(("billing.change_price", "billing.add_price"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_ordering(self, request: HttpRequest) -> Any:
        return ("model", "upstream", "service_tier", _PLACE, "context_from", "-id")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return GroupedList

    # --- A proposal's page -----------------------------------------------------------------------

    def page(self, request: HttpRequest, obj: PriceProposal) -> dict[str, Any]:
        page = proposal_page(obj)
        return {
            **page,
            "state": obj.state,
            "state_colour": STATE_COLOURS[obj.state],
            "title": f"{obj.model} at {obj.upstream}",
            "may_decide": self.has_decide_permission(request) and page["is_open"],
        }

    # --- Deciding --------------------------------------------------------------------------------

    @page_action("Approve", icon="check", permissions=["decide"], url_path="approve")
    def approve_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._approve(request, object_id, whole_model=False)

    @page_action(
        "Approve all of the model", icon="done_all", permissions=["decide"], url_path="approve-all"
    )
    def approve_model(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._approve(request, object_id, whole_model=True)

    @page_action("Reject", icon="close", permissions=["decide"], url_path="reject")
    def reject_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen = self._chosen(request, object_id, whole_model=False)
        if request.method != "POST" or not chosen:
            return self._ask(request, object_id, chosen, verb="Reject", form=None)
        return self._decided(request, object_id, lambda: reject(_ids(chosen), _user(request)))

    def _approve(self, request: HttpRequest, object_id: str, *, whole_model: bool) -> HttpResponse:
        chosen = self._chosen(request, object_id, whole_model=whole_model)
        form = MomentForm(request.POST if request.method == "POST" else None, label_suffix="")
        if request.method != "POST" or not chosen or not form.is_valid():
            return self._ask(request, object_id, chosen, verb="Approve", form=form)
        moment: datetime | None = form.cleaned_data["valid_from"]
        return self._decided(
            request, object_id, lambda: approve(_ids(chosen), _user(request), moment)
        )

    def _chosen(
        self, request: HttpRequest, object_id: str, *, whole_model: bool
    ) -> list[PriceProposal]:
        """What is decided on: as the page showed it that asked, so that nothing unseen goes in."""
        proposal = self.get_object(request, unquote(object_id))
        if proposal is None:
            return []
        if not whole_model:
            return [proposal]
        of_model = PriceProposal.objects.filter(upstream=proposal.upstream, model=proposal.model)
        if request.method == "POST":
            seen = [int(each) for each in request.POST.getlist("seen") if each.isdecimal()]
            return list(of_model.filter(pk__in=seen))
        waiting = of_model.filter(state=_State.OPEN)
        return sorted(waiting, key=lambda each: place(each.key))

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        chosen: list[PriceProposal],
        *,
        verb: str,
        form: MomentForm | None,
    ) -> HttpResponse:
        if not chosen:
            messages.warning(request, "There is nothing left to decide.")
            return HttpResponseRedirect(reverse("admin:billing_priceproposal_changelist"))
        count = len(chosen)
        what = f"{count} prices" if count > 1 else "this price"
        return TemplateResponse(
            request,
            "admin/billing/priceproposal/decide.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": chosen[0],
                "title": f"{verb} {what}?",
                "name": f"{chosen[0].model} at {chosen[0].upstream}",
                "verb": f"{verb} {what}",
                "danger": form is None,
                "form": form,
                "rows": [_row(each) for each in chosen],
                "back": reverse("admin:billing_priceproposal_change", args=[object_id]),
            },
        )

    def _decided(
        self, request: HttpRequest, object_id: str, decide: Callable[[], list[PriceProposal]]
    ) -> HttpResponse:
        try:
            decided = decide()
        except CannotDecide as refusal:
            messages.error(request, str(refusal))
            back = reverse("admin:billing_priceproposal_change", args=[object_id])
            return HttpResponseRedirect(back)
        for proposal in decided:
            self.log_change(request, proposal, f"{proposal.get_state_display()}.")
        words = f"{len(decided)} decided." if decided else "It was decided already."
        messages.success(request, words)
        return HttpResponseRedirect(reverse("admin:billing_priceproposal_changelist"))

    # --- Columns ---------------------------------------------------------------------------------

    @column("model")
    def way(self, obj: PriceProposal) -> SafeString:
        place = "rs-leads" if vars(obj).get("_leads", True) else "rs-follows"
        return format_html(
            '<span class="{}">{}<small>{}</small></span>', place, obj.model, obj.upstream
        )

    @column("component")
    def part(self, obj: PriceProposal) -> SafeString:
        return component_words(obj.key)

    @column("present price")
    def present(self, obj: PriceProposal) -> SafeString:
        return price_words(obj.present_usd, obj.present_per, missing="none")

    @column("proposed price")
    def proposed(self, obj: PriceProposal) -> SafeString:
        return price_words(obj.proposed_usd, obj.per)

    @column("change")
    def change(self, obj: PriceProposal) -> SafeString:
        return change_words(obj)

    @column("state", label=STATE_COLOURS)
    def state_badge(self, obj: PriceProposal) -> str:
        return obj.state

    @column("source")
    def origin(self, obj: PriceProposal) -> SafeString:
        doubt = format_html('<small class="rs-warn">{}</small>', obj.note) if obj.note else ""
        return format_html('<span class="rs-source">{}{}</span>', obj.source or EMPTY, doubt)


def _row(proposal: PriceProposal) -> dict[str, Any]:
    return {
        "id": proposal.pk,
        "component": component_words(proposal.key),
        "present": price_words(proposal.present_usd, proposal.present_per, missing="none"),
        "proposed": price_words(proposal.proposed_usd, proposal.per),
        "change": change_words(proposal),
    }


def _ids(proposals: list[PriceProposal]) -> list[int]:
    return [proposal.pk for proposal in proposals]


def _user(request: HttpRequest) -> Any:
    """Signed in, for the site lets nobody else so far."""
    return request.user
