"""Words: the vendors behind the gateway, the models they serve, and the routes between them."""

from typing import ClassVar
from urllib.parse import urlsplit

import msgspec
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from providers import credentials
from providers.dialects import DIALECTS
from providers.dialects.quirks import Quirks


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
    credential_sealed = models.BinaryField(null=True, blank=True, editable=False)
    quirks = models.JSONField(
        default=dict,
        blank=True,
        help_text="How this vendor departs from its dialect: "
        '{"refuse_fields": [], "drop_fields": [], "rename_fields": {}, '
        '"headers": {}, "query": {}}.',
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

    def store_credential(self, secret: str) -> None:
        """Seals `secret` for the present `base_url`; an empty one clears it. Does not save."""
        self.credential_sealed = credentials.seal(secret, self.base_url) if secret else None


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
    enabled = models.BooleanField(default=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(name=""), name="model_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


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
