"""Tenants and their projects. Neither is ever deleted: ledger lines name them."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.datasets import BaseDataset

from runestone.admin.parts import (
    DeskAdmin,
    TabAdmin,
    TabularInline,
    ask_first,
    column,
    page_action,
)
from runestone.lib.policy import RoutingPolicy
from tenants.admin.keys import STATE_COLOURS
from tenants.models import ApiKey, Member, Project, Tenant

TENANT_COLOURS = {"active": "success", "suspended": "danger"}


class TenantKeys(TabAdmin):
    """The keys of one tenant, as a tab of its page."""

    list_display = ("__str__", "state", "project_name", "created", "expires_at")
    ordering = ("-created",)

    def get_queryset(self, request: HttpRequest) -> Any:
        keys = super().get_queryset(request).select_related("project")
        return keys.filter(tenant_id=self.extra_context["object"])

    @column("state", label=STATE_COLOURS)
    def state(self, obj: ApiKey) -> str:
        return obj.state

    @column("project")
    def project_name(self, obj: ApiKey) -> str | None:
        return obj.project.name if obj.project else None


class TenantKeysDataset(BaseDataset):  # type: ignore[misc]  # unfold ships no types
    model = ApiKey
    model_admin = TenantKeys
    tab = True


class ProjectInline(TabularInline):
    model = Project
    tab = True
    extra = 0
    fields = ("name", "slug", "cost_center")
    prepopulated_fields: ClassVar = {"slug": ("name",)}
    can_delete = False


class MemberInline(TabularInline):
    model = Member
    tab = True
    extra = 0
    fields = ("user", "role")
    autocomplete_fields = ("user",)


POLICIES = [
    ("", "as this installation does"),
    *((policy.value, f"{policy}: {policy.words}") for policy in RoutingPolicy),
]
ROUTING: tuple[str, Any] = (
    "Routing",
    {"fields": ("routing_policy", "hedge_seconds", "disconnect_policy")},
)


@admin.register(Tenant)
class TenantAdmin(DeskAdmin):
    list_display = ("name", "slug", "state", "time_zone", "default_model", "created")
    list_filter = (("status", ChoicesDropdownFilter),)
    search_fields = ("name", "slug")
    search_help_text = "Name or slug"
    prepopulated_fields: ClassVar = {"slug": ("name",)}
    readonly_fields = ("state", "created")
    inlines = (ProjectInline, MemberInline)
    change_form_datasets: tuple[type[BaseDataset], ...] = (TenantKeysDataset,)
    actions_detail = ("new_key", "suspend", "reactivate")
    add_fieldsets = (
        (None, {"fields": (("name", "slug"), "time_zone", "default_model", "max_output_tokens")}),
        ROUTING,
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "slug"),
                    ("state", "created"),
                    "time_zone",
                    "default_model",
                    "max_output_tokens",
                )
            },
        ),
        ROUTING,
    )

    # --- What may be done ------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        return False

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "routing_policy":
            kwargs["choices"] = POLICIES
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def has_new_key_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        # A method, not "tenants.add_apikey": unfold looks such names up in the database in its
        # system checks, which would fail before the first migration.
        return request.user.has_perm("tenants.add_apikey")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        tenant = Tenant.objects.filter(pk=object_id).first()
        done = "suspend" if tenant is None or tenant.status != "active" else "reactivate"
        return [
            action
            for action in super().get_actions_detail(request, object_id)
            if action.action_name != f"tenants_tenant_{done}"
        ]

    def get_changeform_datasets(self, request: HttpRequest) -> list[type[BaseDataset]]:
        """Only on the page of a tenant that is there, and only what this person may see."""
        match = request.resolver_match
        if match is None or "object_id" not in match.kwargs:
            return []
        return [
            dataset
            for dataset in self.change_form_datasets
            if request.user.has_perm(
                f"{dataset.model._meta.app_label}.view_{dataset.model._meta.model_name}"
            )
        ]

    @page_action("New API key", icon="vpn_key", permissions=["new_key"], url_path="key")
    def new_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        form = reverse("admin:tenants_apikey_add")
        return HttpResponseRedirect(f"{form}?{urlencode({'tenant': object_id})}")

    @page_action("Suspend", icon="pause_circle", permissions=["change"], url_path="suspend")
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._turn(
            request,
            object_id,
            Tenant.Status.SUSPENDED,
            question="Suspend {}?",
            consequence=(
                "Every gateway refuses all of its keys within a second. Calls that are running "
                "end as usual. Nothing is deleted, and it can be undone."
            ),
            verb="Suspend the tenant",
            danger=True,
        )

    @page_action("Reactivate", icon="play_circle", permissions=["change"], url_path="reactivate")
    def reactivate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._turn(
            request,
            object_id,
            Tenant.Status.ACTIVE,
            question="Reactivate {}?",
            consequence="Its keys work again within a second, except revoked and expired ones.",
            verb="Reactivate the tenant",
        )

    def _turn(
        self,
        request: HttpRequest,
        object_id: str,
        status: Tenant.Status,
        *,
        question: str,
        consequence: str,
        verb: str,
        danger: bool = False,
    ) -> HttpResponse:
        tenant = self.get_object(request, object_id)
        if tenant is None:
            return HttpResponseRedirect(reverse("admin:tenants_tenant_changelist"))
        if request.method != "POST":
            return ask_first(
                self,
                request,
                tenant,
                question=question.format(tenant),
                consequence=consequence,
                verb=verb,
                danger=danger,
            )
        tenant.status = status
        tenant.save(update_fields=["status"])
        self.log_change(request, tenant, f"Now {status}.")
        messages.success(request, f"{tenant} is {status} now.")
        return HttpResponseRedirect(reverse("admin:tenants_tenant_change", args=[tenant.pk]))

    @column("status", ordering="status", label=TENANT_COLOURS)
    def state(self, obj: Tenant) -> str:
        return obj.status


@admin.register(Project)
class ProjectAdmin(DeskAdmin):
    list_display = ("name", "tenant", "slug", "cost_center", "created")
    list_filter = (("tenant", AutocompleteSelectFilter),)
    list_select_related = ("tenant",)
    search_fields = ("name", "slug", "cost_center", "tenant__name")
    search_help_text = "Name, slug, cost centre or tenant"
    autocomplete_fields = ("tenant",)
    prepopulated_fields: ClassVar = {"slug": ("name",)}
    fields = ("tenant", ("name", "slug"), "cost_center")

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> Any:
        return () if obj is None else ("tenant",)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Project | None = None) -> Any:
        return self.prepopulated_fields if obj is None else {}
