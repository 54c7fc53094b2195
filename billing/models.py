"""Money: prices, budgets, holds and the ledger.

A call's money goes through two rows. A **hold** reserves the most the call can cost, before the
provider is called. Settling deletes the hold and writes the **entry**, the ledger line, in one
statement (`holds.sql`). Entries are never changed or deleted; a repair is another entry.
"""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple, NoReturn

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.end_users import END_USER_CHARACTERS_MAX
from billing.periods import Period
from billing.pricing import Rate, rate
from runestone.lib import usage
from runestone.lib.fields import PicoField, PicoSumField
from runestone.lib.ids import uuid7
from runestone.lib.money import format_usd
from runestone.lib.usage import Component
from tenants.models import ApiKey, Project, Tenant

TOKENS_PER_PRICE = 1_000_000
ALERT_PERCENTS_MAX = 8
# A soft budget may be passed many times over.
ALERT_PERCENT_MAX = 1_000


def default_alert_percents() -> list[int]:
    return [50, 80, 100]


class PriceKey(NamedTuple):
    """What a price of an upstream's model is of."""

    component: str
    context_from: int
    service_tier: str


def unit_usd(usd: Decimal, per: int) -> Fraction:
    """The exact price of one unit, by which prices per different numbers are compared."""
    return Fraction(usd) / per


class Price(models.Model):
    """What one component of one upstream's model costs, from a moment on.

    Keyed by names, not by rows of the catalogue: it must outlive them. Rows are never edited once
    used: a change closes this row and opens the next. The database refuses overlaps.
    """

    upstream = models.CharField(max_length=63, help_text="The upstream's slug.")
    model = models.CharField(max_length=200, help_text="The model's canonical name.")
    component = models.CharField(
        max_length=16, choices=[(component.value, component.value) for component in Component]
    )
    usd = models.DecimalField(
        max_digits=24,
        decimal_places=12,
        validators=[MinValueValidator(0)],
        help_text="US dollars per so many units.",
    )
    per = models.PositiveIntegerField(
        default=TOKENS_PER_PRICE,
        validators=[MinValueValidator(1)],
        help_text="Units: 1,000,000 for tokens, 1 for requests.",
    )
    context_from = models.PositiveIntegerField(
        default=0, help_text="Applies to calls with at least so many input tokens (a price tier)."
    )
    service_tier = models.CharField(
        max_length=16,
        blank=True,
        help_text="The provider's tier (flex, priority, batch). Empty: the standard one.",
    )
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Exclusive. Empty: open. Where it begins: it was wrong, and never valid.",
    )
    source = models.CharField(max_length=200, blank=True, help_text="Where the price was read.")

    class Meta:
        ordering: ClassVar = [
            "upstream", "model", "service_tier", "component", "context_from", "-valid_from",
        ]  # fmt: skip
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(usd__gte=0), name="price_not_negative"),
            models.CheckConstraint(condition=Q(per__gte=1), name="price_per_at_least_1"),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")),
                name="price_ends_no_sooner_than_it_begins",
            ),
        ]

    def __str__(self) -> str:
        unit = "1M" if self.per == TOKENS_PER_PRICE else f"{self.per:,}"
        tier = f" ({self.service_tier})" if self.service_tier else ""
        return (
            f"{self.upstream}/{self.model} {self.component}{tier}: "
            f"${self.usd.normalize():f} per {unit}"
        )

    @property
    def key(self) -> PriceKey:
        return PriceKey(self.component, self.context_from, self.service_tier)

    @property
    def rate(self) -> Rate:
        return rate(
            self.id,
            self.component,
            self.usd,
            self.per,
            self.context_from,
            self.valid_from,
            self.valid_to,
            self.service_tier,
        )

    def clean(self) -> None:
        if self.valid_to == self.valid_from:
            return
        rivals = Price.objects.filter(
            upstream=self.upstream,
            model=self.model,
            component=self.component,
            context_from=self.context_from,
            service_tier=self.service_tier,
        ).exclude(pk=self.pk)
        rivals = rivals.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=self.valid_from))
        if self.valid_to is not None:
            rivals = rivals.filter(valid_from__lt=self.valid_to)
        if rivals.exists():
            raise ValidationError("Another price of this component is valid in this period.")


class PriceProposal(models.Model):
    """A published price that is not ours, until a person has decided. By itself it changes nothing.

    `present` is our own price when the proposal was made: it is approved for that, or not at all.
    """

    class State(models.TextChoices):
        OPEN = "open"
        APPROVED = "approved"
        REJECTED = "rejected"
        SUPERSEDED = "superseded", "superseded: no longer true"

    upstream = models.CharField(max_length=63)
    model = models.CharField(max_length=200)
    component = models.CharField(
        max_length=16, choices=[(component.value, component.value) for component in Component]
    )
    context_from = models.PositiveIntegerField(default=0)
    service_tier = models.CharField(max_length=16, blank=True)
    present_usd = models.DecimalField(max_digits=24, decimal_places=12, null=True)
    present_per = models.PositiveIntegerField(null=True)
    proposed_usd = models.DecimalField(max_digits=24, decimal_places=12)
    per = models.PositiveIntegerField(default=TOKENS_PER_PRICE)
    source = models.CharField(max_length=200, help_text="Where the price was read.")
    note = models.CharField(max_length=200, blank=True, help_text="A reason for doubt.")
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    created = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    price = models.ForeignKey(
        Price, on_delete=models.SET_NULL, null=True, help_text="The row that it became."
    )

    class Meta:
        ordering: ClassVar = [
            "model", "upstream", "service_tier", "component", "context_from", "-id",
        ]  # fmt: skip
        # Whoever may change prices decides; there is nothing else to be permitted.
        default_permissions: ClassVar = []
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["upstream", "model", "component", "context_from", "service_tier"],
                condition=Q(state="open"),
                name="price_proposal_open_once",
            ),
            models.CheckConstraint(
                condition=Q(proposed_usd__gt=0), name="price_proposal_is_never_free"
            ),
            models.CheckConstraint(
                condition=Q(present_usd__isnull=True, present_per__isnull=True)
                | Q(
                    present_usd__isnull=False,
                    present_usd__gte=0,
                    present_per__isnull=False,
                    present_per__gte=1,
                ),
                name="price_proposal_present_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at__isnull=True, decided_by__isnull=True)
                | Q(state="superseded", decided_at__isnull=False, decided_by__isnull=True)
                | Q(
                    state__in=("approved", "rejected"),
                    decided_at__isnull=False,
                    decided_by__isnull=False,
                ),
                name="price_proposal_tells_who_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.upstream}/{self.model} {self.component}"

    @property
    def key(self) -> PriceKey:
        return PriceKey(self.component, self.context_from, self.service_tier)

    def is_for(self, present: Price | None) -> bool:
        """Whether our own price is still the one that this was made for."""
        if present is None or self.present_usd is None or self.present_per is None:
            return present is None and self.present_usd is None
        return unit_usd(present.usd, present.per) == unit_usd(self.present_usd, self.present_per)


class Budget(models.Model):
    """A limit on spending per period: of a tenant, or of one project or key within it.

    With a model it counts that model's calls alone. Per end user, it is the limit of each of them:
    one row, and a window for everybody who calls.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="budgets")
    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="budgets", null=True, blank=True
    )
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, related_name="budgets", null=True, blank=True
    )
    model = models.CharField(
        max_length=200,
        blank=True,
        help_text="The model's canonical name: only its calls count. Empty: all models.",
    )
    per_end_user = models.BooleanField(
        default=False,
        help_text="Each end user has this limit for himself; calls that name none share one.",
    )
    period = models.CharField(max_length=8, choices=Period, default=Period.MONTH)
    limit_pico = PicoSumField(validators=[MinValueValidator(0)])
    hard = models.BooleanField(
        default=True, help_text="Refuse calls that could pass the limit; else only watch it."
    )
    active = models.BooleanField(default=True)
    alert_percents = ArrayField(
        models.PositiveSmallIntegerField(
            validators=[MinValueValidator(1), MaxValueValidator(ALERT_PERCENT_MAX)]
        ),
        size=ALERT_PERCENTS_MAX,
        default=default_alert_percents,
        blank=True,
        verbose_name="alert at",
        help_text="Percent of the limit, separated by commas. Empty: no such alert.",
    )
    forecast_alert = models.BooleanField(
        default=True,
        help_text="Alert if spending goes on like this and will pass the limit in this period.",
    )
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["tenant", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(limit_pico__gte=0), name="budget_not_negative"),
            models.CheckConstraint(
                condition=Q(project__isnull=True) | Q(api_key__isnull=True),
                name="budget_has_one_scope",
            ),
        ]

    def __str__(self) -> str:
        scope = str(self.api_key or self.project or self.tenant)
        if self.model:
            scope += f", {self.model}"
        if self.per_end_user:
            scope += ", each end user"
        return f"{scope}, {self.get_period_display().lower()}"

    def raised_at(self, moment: datetime) -> int:
        """By how much raises lift the limit then, as `billing_raised` says."""
        in_force = [each for each in self.raises.all() if each.starts <= moment < each.ends]
        return sum(each.extra_pico for each in in_force)

    def clean(self) -> None:
        for field in ("project", "api_key"):
            scope = getattr(self, field)
            if scope is not None and scope.tenant_id != self.tenant_id:
                raise ValidationError({field: "It belongs to another tenant."})


class BudgetRaise(models.Model):
    """So much more for a while. `holds.sql` adds what is in force to the limit at every decision.

    So it ends by itself, to the moment, and no job has to be in time. What was granted until then
    stays granted; nothing more is, before there is room under the plain limit.
    """

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="raises")
    extra_pico = PicoSumField(validators=[MinValueValidator(1)])
    starts = models.DateTimeField(default=timezone.now)
    ends = models.DateTimeField(help_text="Exclusive.")
    reason = models.CharField(max_length=200)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", editable=False
    )
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-starts"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(extra_pico__gt=0), name="raise_raises"),
            models.CheckConstraint(condition=Q(ends__gt=F("starts")), name="raise_has_length"),
            models.CheckConstraint(condition=~Q(reason=""), name="raise_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{format_usd(self.extra_pico)} more until {self.ends:%Y-%m-%d %H:%M} UTC"


class PastLimit(models.Model):
    """What a budget's limit was until it was changed: the evidence for a window that is over it.

    Written by a trigger (`limits.sql`), so by whatever way the budget is changed.
    """

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="past_limits")
    limit_pico = PicoSumField()
    hard = models.BooleanField()
    until = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-until"]
        default_permissions: ClassVar = []

    def __str__(self) -> str:
        return f"{format_usd(self.limit_pico)} until {self.until:%Y-%m-%d %H:%M} UTC"


class BudgetWindow(models.Model):
    """One period of a budget: what is posted (settled) and pending (held) in it.

    `limit_pico` is the plain limit, without raises.
    """

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="windows")
    end_user = models.CharField(
        max_length=END_USER_CHARACTERS_MAX,
        blank=True,
        default="",
        help_text="Whose it is, of a budget per end user. Empty: the calls that name none.",
    )
    starts = models.DateTimeField()
    ends = models.DateTimeField(help_text="Exclusive.")
    limit_pico = PicoSumField()
    posted_pico = PicoSumField(default=0)
    pending_pico = PicoSumField(default=0)

    class Meta:
        ordering: ClassVar = ["-starts"]
        constraints: ClassVar = [
            # In this order: the window of an end user is found by one look into this index.
            models.UniqueConstraint(
                fields=["budget", "end_user", "starts"], name="budget_window_once"
            ),
            models.CheckConstraint(condition=Q(ends__gt=F("starts")), name="window_has_length"),
            # No check of posted + pending against the limit: an operator may lower a limit below
            # what is spent, and settling must still work. The condition stands in holds.sql.
            models.CheckConstraint(condition=Q(pending_pico__gte=0), name="pending_not_negative"),
        ]

    def __str__(self) -> str:
        whose = f" of {self.end_user}" if self.end_user else ""
        return f"{self.budget}{whose} from {self.starts:%Y-%m-%d}"

    def limit_at(self, moment: datetime) -> int:
        """The limit, with what raises it then if it is open then."""
        is_open = self.starts <= moment < self.ends
        limit: int = self.limit_pico + (self.budget.raised_at(moment) if is_open else 0)
        return limit

    def remaining_at(self, moment: datetime) -> int:
        remaining: int = self.limit_at(moment) - self.posted_pico - self.pending_pico
        return remaining


class BudgetAlert(models.Model):
    """What was noticed of a window, once: a threshold was reached, or the limit will be passed."""

    class Kind(models.TextChoices):
        THRESHOLD = "threshold"
        FORECAST = "forecast"

    window = models.ForeignKey(BudgetWindow, on_delete=models.PROTECT, related_name="alerts")
    kind = models.CharField(max_length=16, choices=Kind)
    percent = models.PositiveSmallIntegerField(help_text="Of the limit; a forecast's is 100.")
    # As things stood when it was noticed.
    posted_pico = PicoSumField()
    limit_pico = PicoSumField(help_text="With what raised it then.")
    forecast_pico = PicoSumField(null=True, help_text="By the period's end, for a forecast.")
    created = models.DateTimeField(default=timezone.now)
    mailed = models.DateTimeField(null=True, help_text="Empty: not yet, or in vain.")
    recipients = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["-created", "-percent"]
        # They are shown with their budget, and nobody writes them by hand.
        default_permissions: ClassVar = ["view"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["window", "kind", "percent"], name="budget_alert_once_per_window"
            ),
        ]
        indexes: ClassVar = [
            models.Index("created", condition=Q(mailed__isnull=True), name="budget_alert_unmailed"),
        ]

    def __str__(self) -> str:
        return f"{self.window}: {self.words}"

    @property
    def words(self) -> str:
        limit = format_usd(self.limit_pico)
        if self.forecast_pico is not None:
            return f"{format_usd(self.forecast_pico)} by its end, as it goes on, of {limit}"
        return f"{self.percent} % reached: {format_usd(self.posted_pico)} of {limit}"


class OutboxEvent(models.Model):
    """What tenants will be told by signed webhooks. Kept here; nothing sends it yet."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=64)
    payload = models.JSONField()
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]
        default_permissions: ClassVar = ["view"]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class GatewayInstance(models.Model):
    """One run of one gateway process: the owner of holds. When it dies, its holds are swept."""

    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started = models.DateTimeField(default=timezone.now)
    heartbeat = models.DateTimeField(default=timezone.now)
    fenced = models.DateTimeField(
        null=True, blank=True, help_text="Declared dead; its holds are resolved by the sweeper."
    )

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Hold(models.Model):
    """Money set aside for one attempt at a provider. Rows come and go by `holds.sql` only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request_id = models.UUIDField(help_text="Groups the attempts of one call.")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, db_index=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, db_index=False)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, db_index=False)
    upstream = models.CharField(max_length=63)
    model = models.CharField(max_length=200)
    windows = ArrayField(models.BigIntegerField(), default=list)
    end_user = models.CharField(  # noqa: DJ001 -- nobody named is not somebody without a name
        max_length=END_USER_CHARACTERS_MAX, null=True
    )
    service_tier = models.CharField(max_length=16, blank=True, help_text="The one asked for.")
    attempt = models.PositiveSmallIntegerField(default=1)
    byok = models.BooleanField(default=False)
    amount_pico = PicoField(help_text="The most this attempt can cost.")
    estimate_pico = PicoField(
        null=True, help_text="What it costs if it dies unseen: its input. Empty: no price is known."
    )
    instance = models.ForeignKey(GatewayInstance, on_delete=models.PROTECT)
    created = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["created"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount_pico__gte=0), name="hold_not_negative"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class EntryQuerySet(models.QuerySet["Entry"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Ledger entries are never changed: post a correction.")

    def delete(self) -> NoReturn:
        raise TypeError("Ledger entries are never deleted: post a correction.")


class Entry(models.Model):
    """A ledger line. The database refuses to change or delete it.

    `created` is the moment of admission (the hold's), which decides the budget window and the
    month's partition. The table's primary key is (id, created), as partitioning demands; ids are
    unique by themselves, because an entry takes the id of the hold that it deletes.
    """

    class Kind(models.TextChoices):
        CHARGE = "charge", "charge"
        VOID = "void", "void: the provider did not bill"
        ORPHAN = "orphan", "orphan: its gateway died"
        CACHED = "cached", "cached: answered without a provider"
        CORRECTION = "correction", "correction of another line"

    class PriceState(models.TextChoices):
        PRICED = "priced"
        ESTIMATED = "estimated", "estimated: reconciliation may correct it"
        UNPRICED = "unpriced", "no price known: on the work list"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created = models.DateTimeField()
    posted = models.DateTimeField(help_text="When the line was written.")
    kind = models.CharField(max_length=16, choices=Kind)
    corrects = models.UUIDField(null=True, help_text="The original line, for a correction.")
    request_id = models.UUIDField()
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, db_constraint=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, db_constraint=False, null=True)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, db_constraint=False)
    upstream = models.CharField(max_length=63)
    model = models.CharField(max_length=200)
    end_user = models.CharField(  # noqa: DJ001 -- as in holds
        max_length=END_USER_CHARACTERS_MAX,
        null=True,
        help_text="Whom the caller made the call for, as it said. Empty: it did not say.",
    )
    windows = ArrayField(models.BigIntegerField(), default=list)

    amount_pico = PicoField(null=True, help_text="Empty only while no price is known.")
    price_state = models.CharField(max_length=16, choices=PriceState)
    price_ids = ArrayField(models.BigIntegerField(), default=list)
    held_pico = PicoField(default=0)

    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    cache_write_1h_tokens = models.BigIntegerField(default=0)
    input_audio_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    output_audio_tokens = models.BigIntegerField(default=0)
    web_searches = models.BigIntegerField(default=0)
    service_tier = models.CharField(
        max_length=16,
        blank=True,
        help_text="The one that served the call. Empty: the standard one.",
    )
    usage_source = models.CharField(
        max_length=16, choices=[(source.value, source.value) for source in usage.UsageSource]
    )

    status = models.PositiveSmallIntegerField(help_text="The HTTP status the caller got.")
    error = models.CharField(max_length=64, blank=True, help_text="The error's code, if any.")
    streamed = models.BooleanField(default=False)
    upstream_request_id = models.CharField(max_length=200, blank=True)
    first_byte_ms = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(default=0)

    attempt = models.PositiveSmallIntegerField(
        default=1, help_text="Which try of its request this was."
    )
    byok = models.BooleanField(
        default=False, help_text="Made with the tenant's own key, so the provider bills the tenant."
    )
    saved_pico = PicoField(
        null=True,
        help_text="For a cached answer: what its usage would have cost. Empty: nobody knows.",
    )
    routing = models.JSONField(
        null=True, help_text="How the upstream was chosen, on a request's first line."
    )

    objects = EntryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created"]
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return str(self.id)

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Ledger entries are written by settling a hold (holds.sql) only.")

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Ledger entries are never deleted: post a correction.")

    @property
    def usage(self) -> usage.Usage:
        return usage.Usage(
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens,
            input_audio_tokens=self.input_audio_tokens,
            output_tokens=self.output_tokens,
            reasoning_tokens=self.reasoning_tokens,
            output_audio_tokens=self.output_audio_tokens,
            web_searches=self.web_searches,
            service_tier=self.service_tier,
            source=usage.UsageSource(self.usage_source),
        )


class Proof(models.Model):
    """What became of one verification of the books (`verify.py`)."""

    started = models.DateTimeField(db_index=True)
    since = models.DateTimeField(null=True, help_text="Admitted from then on. Empty: everything.")
    took_ms = models.PositiveIntegerField()
    lines = models.PositiveBigIntegerField(help_text="Ledger lines that were looked at.")
    faults = models.PositiveBigIntegerField()
    departures = models.PositiveBigIntegerField(help_text="From a check's words, but explained.")
    checks = models.JSONField(help_text="The verdict of each check.")

    class Meta:
        ordering: ClassVar = ["-started"]
        default_permissions: ClassVar = ["view"]

    def __str__(self) -> str:
        return f"{self.started:%Y-%m-%d %H:%M} UTC"

    @classmethod
    def purge(cls, before: datetime) -> None:
        cls.objects.filter(started__lt=before).delete()
