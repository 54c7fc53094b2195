"""A price that was wrong from the start ends where it begins: it was never valid."""

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_cached_answers")]

    operations = [
        migrations.RemoveConstraint(model_name="price", name="price_ends_after_it_begins"),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")),
                name="price_ends_no_sooner_than_it_begins",
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="valid_to",
            field=models.DateTimeField(
                null=True,
                blank=True,
                help_text="Exclusive. Empty: open. Where it begins: it was wrong, and never valid.",
            ),
        ),
    ]
