"""Proofs of the books are kept, and what a limit was before it was changed."""

import django.db.models.deletion
import runestone.lib.fields
from django.db import migrations, models

from runestone.lib.migrations import run_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_budget_alerts")]

    operations = [
        migrations.CreateModel(
            name="PastLimit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("limit_pico", runestone.lib.fields.PicoSumField()),
                ("hard", models.BooleanField()),
                ("until", models.DateTimeField()),
                ("budget", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="past_limits", to="billing.budget")),
            ],
            options={"ordering": ["-until"], "default_permissions": []},
        ),
        migrations.CreateModel(
            name="Proof",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("started", models.DateTimeField(db_index=True)),
                ("since", models.DateTimeField(help_text="Admitted from then on. Empty: everything.", null=True)),
                ("took_ms", models.PositiveIntegerField()),
                ("lines", models.PositiveBigIntegerField(help_text="Ledger lines that were looked at.")),
                ("faults", models.PositiveBigIntegerField()),
                ("departures", models.PositiveBigIntegerField(help_text="From a check's words, but explained.")),
                ("checks", models.JSONField(help_text="The verdict of each check.")),
            ],
            options={"ordering": ["-started"], "default_permissions": ["view"]},
        ),
        run_file(__file__, "limits.sql"),
    ]
