"""What the last import of facts wrote to a model, so that what a person has set is left alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0003_aliases")]

    operations = [
        migrations.AddField(
            model_name='model',
            name='imported_facts',
            field=models.JSONField(default=dict, editable=False),
        ),
        migrations.AddField(
            model_name='model',
            name='retires',
            field=models.DateField(blank=True, help_text='The last day on which the vendor promises to serve it.', null=True),
        ),
    ]
