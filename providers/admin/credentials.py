"""Credentials: a secret goes in and never comes out. At most its last characters are shown."""

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.datasets import BaseDataset
from unfold.widgets import UnfoldAdminPasswordWidget

from providers.models import Credential
from runestone.admin.parts import EMPTY, TabAdmin, TabularInline, column

if TYPE_CHECKING:
    CredentialForms = forms.BaseInlineFormSet[Any, Any, Any]
    OneCredential = forms.ModelForm[Credential]
else:
    CredentialForms = TabularInline.formset
    OneCredential = forms.ModelForm

STATE_COLOURS = {"active": "success", "disabled": "warning", "unusable": "danger"}


class CredentialForm(OneCredential):
    secret = forms.CharField(
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password"}),
        help_text="The vendor's API key. It is encrypted and never shown again. "
        "Empty: the one that is stored stays.",
    )

    class Meta:
        model = Credential
        fields: ClassVar = ["name", "tenant", "secret", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance
        # Validation puts the new address and tenant into the instance.
        self._address = stored.upstream.base_url if stored.pk else None
        if stored.pk:
            shown = f"stored, ends in {stored.hint}" if stored.hint else "stored"
            self.fields["secret"].widget.attrs["placeholder"] = shown

    def clean(self) -> None:
        super().clean()
        if not self.cleaned_data.get("secret"):
            self._check_that_the_stored_one_opens()

    def save(self, commit: bool = True) -> Credential:
        secret = self.cleaned_data["secret"]
        if secret:
            self.instance.seal(secret)
        return super().save(commit)

    def _check_that_the_stored_one_opens(self) -> None:
        if not self.instance.pk:
            self.add_error("secret", "Enter the vendor's key.")
        elif self.cleaned_data["upstream"].base_url != self._address:
            self.add_error(
                "secret",
                "It is bound to the old base URL and must not travel to another address unseen. "
                "Enter it again, or delete it.",
            )
        elif "tenant" in self.changed_data:
            self.add_error("secret", "It is bound to its tenant. Enter it again, or delete it.")


class CredentialFormSet(CredentialForms):
    def clean(self) -> None:
        """Django looks for the same name twice, but passes over rows without a tenant."""
        super().clean()
        shared = Counter(
            form.cleaned_data.get("name")
            for form in self.forms
            if form not in self.deleted_forms and form.cleaned_data.get("tenant") is None
        )
        twice = [name for name, times in shared.items() if name and times > 1]
        if twice:
            raise ValidationError(f"Two shared credentials are called “{twice[0]}”.")


class CredentialInline(TabularInline):
    model = Credential
    form = CredentialForm
    formset = CredentialFormSet
    extra = 0
    hide_title = True
    fields = ("name", "tenant", "secret", "enabled", "state")
    readonly_fields = ("state",)
    autocomplete_fields = ("tenant",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("upstream", "tenant")

    @column("state")
    def state(self, obj: Credential) -> SafeString | str:
        if not obj.pk:
            return EMPTY
        colour = "rs-bad" if obj.state == "unusable" else "rs-quiet"
        return format_html('<span class="{}">{}</span>', colour, obj.state)


class TenantCredentials(TabAdmin):
    """The credentials that one tenant has brought, as a tab of its page."""

    list_display = ("upstream", "name", "ending", "state", "created")
    list_display_links = None
    ordering = ("upstream", "name")

    def get_queryset(self, request: HttpRequest) -> Any:
        found = super().get_queryset(request).select_related("upstream")
        return found.filter(tenant_id=self.extra_context["object"])

    @column("ends in")
    def ending(self, obj: Credential) -> str:
        return obj.hint

    @column("state", label=STATE_COLOURS)
    def state(self, obj: Credential) -> str:
        return obj.state


class TenantCredentialsDataset(BaseDataset):  # type: ignore[misc]  # unfold ships no types
    model = Credential
    model_admin = TenantCredentials
    tab = True
