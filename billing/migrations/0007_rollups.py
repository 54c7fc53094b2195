"""Roll-ups: the ledger by quarter hour, which reports read."""

from django.db import migrations

from runestone.lib.migrations import run_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_budget_alerts")]

    operations = [run_file(__file__, "rollups.sql")]
