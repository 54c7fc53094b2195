"""Roll-ups: the ledger by quarter hour, which reports read."""

from django.db import migrations

from runestone.lib.migrations import run_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_model_and_end_user_budgets")]

    operations = [run_file(__file__, "rollups.sql")]
