"""Budgets of a model and of each end user, and limits that are raised for a while."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import runestone.lib.fields
from runestone.lib.migrations import run_file


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_wrong_prices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="budget",
            name="model",
            field=models.CharField(
                blank=True,
                help_text="The model's canonical name: only its calls count. Empty: all models.",
                max_length=200,
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="per_end_user",
            field=models.BooleanField(
                default=False,
                help_text="Each end user has this limit for himself; calls that name none share one.",
            ),
        ),
        migrations.AddField(
            model_name="budgetwindow",
            name="end_user",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Whose it is, of a budget per end user. Empty: the calls that name none.",
                max_length=128,
            ),
        ),
        migrations.AddField(
            model_name="hold",
            name="end_user",
            field=models.CharField(max_length=128, null=True),
        ),
        migrations.RemoveConstraint(model_name="budgetwindow", name="budget_window_once"),
        migrations.AddConstraint(
            model_name="budgetwindow",
            constraint=models.UniqueConstraint(
                fields=("budget", "end_user", "starts"), name="budget_window_once"
            ),
        ),
        migrations.CreateModel(
            name="BudgetRaise",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "extra_pico",
                    runestone.lib.fields.PicoSumField(
                        validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                ("starts", models.DateTimeField(default=django.utils.timezone.now)),
                ("ends", models.DateTimeField(help_text="Exclusive.")),
                ("reason", models.CharField(max_length=200)),
                (
                    "created",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "budget",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="raises",
                        to="billing.budget",
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-starts"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("extra_pico__gt", 0)), name="raise_raises"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ends__gt", models.F("starts"))),
                        name="raise_has_length",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="raise_has_a_reason"
                    ),
                ],
            },
        ),
        # The table itself is ledger.sql's: Django cannot make a partitioned one.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    model_name="entry",
                    name="end_user",
                    field=models.CharField(
                        help_text="Whom the caller made the call for, as it said. Empty: it did not say.",
                        max_length=128,
                        null=True,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(
            "ALTER TABLE billing_entry ADD COLUMN end_user varchar(128)", migrations.RunSQL.noop
        ),
        # Its successor knows the windows, too (billing_windows_of).
        migrations.RunSQL(
            "DROP FUNCTION IF EXISTS billing_budgets_of(bigint, bigint, bigint)",
            migrations.RunSQL.noop,
        ),
        run_file(__file__, "holds.sql"),
    ]
