"""Who: tenants, their projects, their people and their API keys."""

from collections.abc import Callable, Iterable
from typing import ClassVar, Self
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from runestone.lib.policy import RoutingPolicy
from tenants import allow_lists, keys

# Prompts and answers are kept for no longer than this, sealed: a week.
CACHE_SECONDS_MAX = 604_800


def validate_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError("%(name)s is not an IANA time zone", params={"name": name})


class Tenant(models.Model):
    """An organisation whose money, keys and usage are kept apart from everybody else's."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"

    class DisconnectPolicy(models.TextChoices):
        ABORT = "abort"
        DRAIN = "drain"

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=Status, default=Status.ACTIVE)
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text="IANA name; it decides where this tenant's days, weeks and months begin.",
    )
    default_model = models.CharField(
        max_length=200, blank=True, help_text="Used when a request names no model."
    )
    max_output_tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Cap on the answer of a call that sets none itself. Empty: the model's own.",
    )
    routing_policy = models.CharField(
        max_length=16,
        blank=True,
        choices=[(policy.value, policy.value) for policy in RoutingPolicy],
        help_text="By which rule a provider is chosen. Empty: as this installation does.",
    )
    disconnect_policy = models.CharField(
        max_length=16,
        choices=DisconnectPolicy,
        default=DisconnectPolicy.ABORT,
        help_text="When a caller hangs up in the middle of a stream: end it at the provider and "
        "estimate what it used, or read on for a while to learn what it really used.",
    )
    hedge_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1)],
        help_text="Ask a second provider, too, if the first has not begun to answer after so long. "
        "The faster answer counts; the other may have to be paid. Empty: never.",
    )
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class Project(models.Model):
    """A cost centre within a tenant."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="projects")
    slug = models.SlugField(max_length=63)
    name = models.CharField(max_length=200)
    cost_center = models.CharField(max_length=100, blank=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["tenant", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "slug"], name="project_slug_in_tenant"),
            # The target of composite foreign keys: a row can only name a project of its tenant.
            models.UniqueConstraint(fields=["id", "tenant"], name="project_id_and_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant} / {self.name}"


class Member(models.Model):
    """A person who may see or manage a tenant."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        DEVELOPER = "developer"
        FINANCE = "finance"
        VIEWER = "viewer"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="members")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=Role, default=Role.DEVELOPER)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "user"], name="member_once_per_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()}, {self.tenant})"


class ApiKey(models.Model):
    """A key to `/v1`. Its text is shown once, when it is made; only a digest is stored."""

    class Scope(models.TextChoices):
        """What a key may be used for; each endpoint needs one of them."""

        INFERENCE = "inference"
        MODELS = "models"
        USAGE = "usage"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="api_keys")
    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="api_keys", null=True, blank=True
    )
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=keys.PREFIX_LENGTH, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # An empty list allows everything. The database has the defaults too: keys may come by SQL.
    models_allow = ArrayField(
        models.CharField(max_length=allow_lists.PATTERN_CHARACTERS_MAX),
        default=list,
        db_default=[],
        blank=True,
        verbose_name="models",
        help_text="Names, separated by commas; * stands for any text. Empty: all models.",
    )
    ip_allow = ArrayField(
        models.CharField(max_length=64),
        default=list,
        db_default=[],
        blank=True,
        verbose_name="addresses",
        help_text="IP networks such as 10.0.0.0/8, separated by commas. Empty: from everywhere.",
    )
    scopes = ArrayField(
        models.CharField(max_length=16, choices=Scope),
        default=list,
        db_default=[],
        blank=True,
        help_text="What the key may be used for. None: for everything.",
    )
    cache_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(CACHE_SECONDS_MAX)],
        help_text="For so long the very same call gets the answer that it got before, at no cost. "
        "A call may say otherwise in x-runestone-cache. Empty: every call is made.",
    )
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["tenant", "name"]
        verbose_name = "API key"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(name=""), name="api_key_has_a_name"),
            models.CheckConstraint(
                condition=Q(cache_seconds__range=(1, CACHE_SECONDS_MAX)),
                name="api_key_caches_within_bounds",
            ),
            models.UniqueConstraint(fields=["id", "tenant"], name="api_key_id_and_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.shown})"

    @property
    def shown(self) -> str:
        """How this key is named in lists and logs."""
        return self.prefix if keys.is_foreign(self.prefix) else f"{keys.SCHEME}{self.prefix}…"

    def clean(self) -> None:
        faults: dict[str, list[str]] = {}
        if self.project is not None and self.project.tenant_id != self.tenant_id:
            faults["project"] = ["This project belongs to another tenant."]
        for name, validate in (
            ("models_allow", allow_lists.validate_pattern),
            ("ip_allow", allow_lists.validate_network),
        ):
            if found := _faults(getattr(self, name), validate):
                faults[name] = found
        if faults:
            raise ValidationError(faults)

    @classmethod
    def mint(cls, *, tenant: Tenant, name: str, project: Project | None = None) -> tuple[Self, str]:
        """Makes and stores a key; returns it with its text, which cannot be had again."""
        api_key = cls(tenant=tenant, project=project, name=name)
        text = api_key.take_new_secret()
        api_key.full_clean()
        api_key.save()
        return api_key, text

    def take_new_secret(self) -> str:
        """Gives this unsaved key its secret; returns the key's text."""
        minted = keys.mint(settings.RUNESTONE_KEY_PEPPER)
        self.prefix, self.digest = minted.prefix, minted.digest
        return minted.text

    @classmethod
    def bring(cls, *, tenant: Tenant, name: str, text: str) -> tuple[Self, bool]:
        """Stores a key that was made elsewhere, unless it is here already; whether it was new."""
        brought = keys.brought(text, settings.RUNESTONE_KEY_PEPPER)
        known = cls.objects.filter(digest=brought.digest).first()
        if known is not None:
            return known, False
        api_key = cls(tenant=tenant, name=name, prefix=brought.prefix, digest=brought.digest)
        api_key.full_clean()
        api_key.save()
        return api_key, True

    def revoke(self) -> None:
        """Ends this key for good; every gateway process refuses it within a second."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])

    @property
    def state(self) -> str:
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "active"


def _faults(entries: Iterable[str], validate: Callable[[str], None]) -> list[str]:
    faults: list[str] = []
    for entry in entries:
        try:
            validate(entry)
        except ValidationError as fault:
            faults += fault.messages
    return faults
