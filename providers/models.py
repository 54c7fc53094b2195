"""Words: the vendors behind the gateway, the models they serve, and the routes between them."""

from typing import ClassVar
from urllib.parse import urlsplit

import msgspec
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from providers import credentials
from providers.dialects import DIALECTS
from providers.dialects.quirks import Quirks
from runestone.lib.encryption import CannotOpen
from tenants.models import Tenant


def dialect_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(DIALECTS)]


class Capability(models.TextChoices):
    CHAT = "chat"
    STREAMING = "streaming"
    TOOLS = "tools"
    PARALLEL_TOOLS = "parallel_tools"
    VISION = "vision"
    AUDIO = "audio"
    PDF = "pdf"
    JSON_SCHEMA = "json_schema"
    REASONING = "reasoning"
    PROMPT_CACHE = "prompt_cache"
    WEB_SEARCH = "web_search"
    COMPLETION = "completion"
    EMBEDDINGS = "embeddings"
    MODERATION = "moderation"


class Upstream(models.Model):
    """A vendor's endpoint. A vendor is a row; only a new wire format is code (a dialect)."""

    slug = models.SlugField(
        max_length=63, unique=True, help_text="The provider's name in requests and in the ledger."
    )
    name = models.CharField(max_length=200)
    dialect = models.CharField(
        max_length=32, choices=dialect_choices, help_text="The wire format it speaks."
    )
    base_url = models.CharField(
        max_length=500, help_text="Up to and including the version, without a trailing slash."
    )
    quirks = models.JSONField(
        default=dict,
        blank=True,
        help_text="How this vendor departs from its dialect: "
        '{"refuse_fields": [], "drop_fields": [], "rename_fields": {}, '
        '"headers": {}, "query": {}}.',
    )
    calls_max = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="So many calls at once, of each gateway process. Empty: no bound.",
    )
    enabled = models.BooleanField(default=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https", "echo") or self.base_url.endswith("/"):
            raise ValidationError(
                {"base_url": "An http(s) URL without a trailing slash, or echo:// for the echo."}
            )
        # An emptied form field gives None.
        self.quirks = self.quirks or {}
        try:
            msgspec.convert(self.quirks, Quirks)
        except msgspec.ValidationError as error:
            raise ValidationError({"quirks": str(error)}) from None

    def add_credential(
        self, secret: str, name: str = "default", tenant: Tenant | None = None
    ) -> "Credential":
        """Stores `secret`, for all tenants or for `tenant` alone. The upstream must be saved."""
        credential = Credential(upstream=self, tenant=tenant, name=name)
        credential.seal(secret)
        credential.save()
        return credential


class Credential(models.Model):
    """A vendor's key: the operator's, shared by all tenants, or one that a tenant has brought.

    With several of a kind, calls go with them in turn (`providers/keyring.py`).
    """

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="credentials")
    # Never SET_NULL: that would let everybody have it.
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        related_name="credentials",
        null=True,
        blank=True,
        help_text="Whose it is; this tenant alone goes with it, and with no other. "
        "Empty: shared by all that have none of their own.",
    )
    name = models.CharField(max_length=63, default="default")
    sealed = models.BinaryField(editable=False)
    hint = models.CharField(max_length=credentials.HINT_CHARACTERS, blank=True, editable=False)
    enabled = models.BooleanField(default=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["upstream", F("tenant").asc(nulls_first=True), "name"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(name=""), name="credential_has_a_name"),
            models.UniqueConstraint(
                fields=["upstream", "tenant", "name"],
                nulls_distinct=False,
                name="credential_name_once",
                violation_error_message="This name is taken, here and for this tenant.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} (…{self.hint})" if self.hint else self.name

    def seal(self, secret: str) -> None:
        """Takes `secret` for the present address and tenant. Does not save."""
        self.sealed = credentials.seal(secret, self.upstream.base_url, self.tenant_id)
        self.hint = credentials.hint(secret)

    def opened(self) -> str:
        """Raises CannotOpen if it was sealed for another address or tenant."""
        return credentials.open_sealed(bytes(self.sealed), self.upstream.base_url, self.tenant_id)

    @property
    def state(self) -> str:
        try:
            self.opened()
        except CannotOpen:
            return "unusable"
        return "active" if self.enabled else "disabled"


class Model(models.Model):
    """A model under its canonical name, with the facts that routing and pricing bounds need."""

    name = models.CharField(max_length=200, unique=True)
    family = models.CharField(max_length=64, blank=True)
    owned_by = models.CharField(max_length=64, default="system")
    capabilities = ArrayField(
        models.CharField(max_length=32, choices=Capability), default=list, blank=True
    )
    context_window = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    retires = models.DateField(
        null=True, blank=True, help_text="The last day on which the vendor promises to serve it."
    )
    # What the last import wrote, by field, and from where: another value was set by hand.
    imported_facts = models.JSONField(default=dict, editable=False)
    enabled = models.BooleanField(default=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(name=""), name="model_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Alias(models.Model):
    """Another name for a model. Callers may use either; the ledger knows the canonical one."""

    name = models.CharField(max_length=200, unique=True)
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name_plural = "aliases"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(name=""), name="alias_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if Model.objects.filter(name=self.name).exists():
            raise ValidationError({"name": "A model has this name."})


class Route(models.Model):
    """A way to a model: an upstream that serves it, under the upstream's own name for it."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="routes")
    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="routes")
    upstream_model = models.CharField(
        max_length=200, help_text="The upstream's own name for the model."
    )
    priority = models.PositiveSmallIntegerField(default=100, help_text="Lower is tried first.")
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="Share among routes of the same priority.",
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["model", "priority", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "upstream"], name="route_once_per_upstream"),
            models.CheckConstraint(condition=Q(weight__gte=1), name="route_weight_at_least_1"),
        ]

    def __str__(self) -> str:
        return f"{self.model} → {self.upstream}"
