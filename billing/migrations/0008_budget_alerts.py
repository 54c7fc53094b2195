"""Alerts of budgets, each once per window, and the events that webhooks will send one day."""

import billing.models
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import runestone.lib.fields
import runestone.lib.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0007_rollups'),
        ('tenants', '0003_response_cache'),
    ]

    operations = [
        migrations.AddField(
            model_name='budget',
            name='alert_percents',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]), blank=True, default=billing.models.default_alert_percents, help_text='Percent of the limit, separated by commas. Empty: no such alert.', size=8, verbose_name='alert at'),
        ),
        migrations.AddField(
            model_name='budget',
            name='forecast_alert',
            field=models.BooleanField(default=True, help_text='Alert if spending goes on like this and will pass the limit in this period.'),
        ),
        migrations.CreateModel(
            name='OutboxEvent',
            fields=[
                ('id', models.UUIDField(default=runestone.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('type', models.CharField(max_length=64)),
                ('payload', models.JSONField()),
                ('created', models.DateTimeField(default=django.utils.timezone.now)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.tenant')),
            ],
            options={
                'ordering': ['id'],
                'default_permissions': ['view'],
            },
        ),
        migrations.CreateModel(
            name='BudgetAlert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('threshold', 'Threshold'), ('forecast', 'Forecast')], max_length=16)),
                ('percent', models.PositiveSmallIntegerField(help_text="Of the limit; a forecast's is 100.")),
                ('posted_pico', runestone.lib.fields.PicoSumField()),
                ('limit_pico', runestone.lib.fields.PicoSumField(help_text='With what raised it then.')),
                ('forecast_pico', runestone.lib.fields.PicoSumField(help_text="By the period's end, for a forecast.", null=True)),
                ('created', models.DateTimeField(default=django.utils.timezone.now)),
                ('mailed', models.DateTimeField(help_text='Empty: not yet, or in vain.', null=True)),
                ('recipients', models.PositiveSmallIntegerField(default=0)),
                ('window', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='alerts', to='billing.budgetwindow')),
            ],
            options={
                'ordering': ['-created', '-percent'],
                'default_permissions': ['view'],
                'indexes': [models.Index(models.F('created'), condition=models.Q(('mailed__isnull', True)), name='budget_alert_unmailed')],
                'constraints': [models.UniqueConstraint(fields=('window', 'kind', 'percent'), name='budget_alert_once_per_window')],
            },
        ),
    ]
