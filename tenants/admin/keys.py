"""API keys: made with their secret shown once, then only named, expired or revoked."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from runestone.admin.parts import DeskAdmin, ask_first, column, page_action
from tenants.admin.once import OnceForm
from tenants.models import ApiKey

LIMITS = ("models_allow", "ip_allow", "scopes")
STATE_COLOURS = {"active": "success", "expired": "warning", "revoked": "danger"}


class StateFilter(DropdownFilter):  # type: ignore[misc]  # unfold ships no types
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(state, state) for state in STATE_COLOURS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        now = timezone.now()
        expired = {"revoked_at": None, "expires_at__lte": now}
        if self.value() == "revoked":
            return queryset.filter(revoked_at__isnull=False)
        if self.value() == "expired":
            return queryset.filter(**expired)
        if self.value() == "active":
            return queryset.filter(revoked_at=None).exclude(**expired)
        return queryset


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What the key may be used for. None: for everything.",
    )


class NewKeyForm(KeyForm, OnceForm):
    class Meta:
        model = ApiKey
        fields: ClassVar = ["tenant", "project", "name", "expires_at", *LIMITS, "cache_seconds"]

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError("This moment has passed: the key would never work.")
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(DeskAdmin):
    form = KeyForm
    list_display = ("name", "key", "state", "tenant", "project_name", "created", "expires_at")
    list_filter = (StateFilter, ("tenant", AutocompleteSelectFilter))
    list_select_related = ("tenant", "project")
    search_fields = ("name", "prefix", "tenant__name")
    search_help_text = "Name, prefix or tenant"
    ordering = ("-created",)
    autocomplete_fields = ("tenant", "project")
    actions_detail = ("revoke",)
    add_fieldsets = (
        (None, {"fields": ("tenant", "project", "name", "expires_at", "once")}),
        ("Limits", {"fields": LIMITS}),
        ("Response cache", {"fields": ("cache_seconds",)}),
    )
    fieldsets = (
        (None, {"fields": ("name", "expires_at")}),
        ("Limits", {"fields": LIMITS}),
        ("Response cache", {"fields": ("cache_seconds",)}),
        ("Facts", {"fields": (("state", "key"), ("tenant", "project"), ("created", "revoked_at"))}),
    )

    # --- What may be done ------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False  # ledger lines name it: it is revoked, and stays

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        if obj is None:
            return ()
        return ("state", "key", "tenant", "project", "created", "revoked_at")

    def get_form(
        self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = NewKeyForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        if not ApiKey.objects.filter(pk=object_id, revoked_at=None).exists():
            return []
        actions: list[Any] = super().get_actions_detail(request, object_id)
        return actions

    # --- Making one ------------------------------------------------------------------------------

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, (extra_context or {}) | only_save)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            # Goes to response_add on the object itself, and nowhere else.
            vars(obj)["_text"] = obj.take_new_secret()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Shows the secret in the answer itself: a redirect would have to keep it somewhere."""
        response = TemplateResponse(
            request,
            "admin/tenants/apikey/show_once.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": obj,
                "title": "Copy the key now",
                "secret": vars(obj).pop("_text"),
                "base_url": request.build_absolute_uri("/v1"),
            },
        )
        add_never_cache_headers(response)
        response["Referrer-Policy"] = "no-referrer"
        return response

    # --- Revoking one ----------------------------------------------------------------------------

    @page_action("Revoke", icon="block", permissions=["change"], url_path="revoke")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        page = reverse("admin:tenants_apikey_change", args=[object_id])
        api_key = self.get_object(request, object_id)
        if api_key is None:
            return HttpResponseRedirect(reverse("admin:tenants_apikey_changelist"))
        if request.method != "POST":
            return ask_first(
                self,
                request,
                api_key,
                question=f"Revoke {api_key}?",
                consequence=(
                    "Every gateway refuses it within a second, for good. "
                    "What it has spent stays in the ledger."
                ),
                verb="Revoke the key",
                danger=True,
            )
        api_key.revoke()
        self.log_change(request, api_key, "Revoked.")
        messages.success(request, f"{api_key} is revoked.")
        return HttpResponseRedirect(page)

    # --- Columns ---------------------------------------------------------------------------------

    @column("state", label=STATE_COLOURS)
    def state(self, obj: ApiKey) -> str:
        return obj.state

    @column("key", ordering="prefix")
    def key(self, obj: ApiKey) -> SafeString:
        return format_html('<span class="rs-mono">{}</span>', obj.shown)

    @column("project", ordering="project__name")
    def project_name(self, obj: ApiKey) -> str | None:
        return obj.project.name if obj.project else None
