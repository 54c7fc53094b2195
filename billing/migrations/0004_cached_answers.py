"""What costs nothing is granted even where a hard budget is exhausted: cached answers are free."""

import runestone.lib.fields
from django.db import migrations

from runestone.lib.migrations import run_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_price_proposals")]

    operations = [
        run_file(__file__, "holds.sql"),
        migrations.AlterField(
            model_name="entry",
            name="saved_pico",
            field=runestone.lib.fields.PicoField(
                help_text="For a cached answer: what its usage would have cost. Empty: nobody knows.",
                null=True,
            ),
        ),
    ]
