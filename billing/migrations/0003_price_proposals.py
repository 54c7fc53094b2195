"""Published prices that differ from ours wait for a person's decision."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0002_tiers_and_attempts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PriceProposal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('upstream', models.CharField(max_length=63)),
                ('model', models.CharField(max_length=200)),
                ('component', models.CharField(choices=[('input', 'input'), ('cached_input', 'cached_input'), ('cache_write', 'cache_write'), ('cache_write_1h', 'cache_write_1h'), ('output', 'output'), ('reasoning', 'reasoning'), ('input_audio', 'input_audio'), ('output_audio', 'output_audio'), ('request', 'request'), ('web_search', 'web_search')], max_length=16)),
                ('context_from', models.PositiveIntegerField(default=0)),
                ('service_tier', models.CharField(blank=True, max_length=16)),
                ('present_usd', models.DecimalField(decimal_places=12, max_digits=24, null=True)),
                ('present_per', models.PositiveIntegerField(null=True)),
                ('proposed_usd', models.DecimalField(decimal_places=12, max_digits=24)),
                ('per', models.PositiveIntegerField(default=1000000)),
                ('source', models.CharField(help_text='Where the price was read.', max_length=200)),
                ('note', models.CharField(blank=True, help_text='A reason for doubt.', max_length=200)),
                ('state', models.CharField(choices=[('open', 'Open'), ('approved', 'Approved'), ('rejected', 'Rejected'), ('superseded', 'superseded: no longer true')], default='open', max_length=16)),
                ('created', models.DateTimeField(default=django.utils.timezone.now)),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('price', models.ForeignKey(help_text='The row that it became.', null=True, on_delete=django.db.models.deletion.SET_NULL, to='billing.price')),
            ],
            options={
                'ordering': ['model', 'upstream', 'service_tier', 'component', 'context_from', '-id'],
                'default_permissions': [],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('upstream', 'model', 'component', 'context_from', 'service_tier'), name='price_proposal_open_once'), models.CheckConstraint(condition=models.Q(('proposed_usd__gt', 0)), name='price_proposal_is_never_free'), models.CheckConstraint(condition=models.Q(models.Q(('present_per__isnull', True), ('present_usd__isnull', True)), models.Q(('present_per__gte', 1), ('present_per__isnull', False), ('present_usd__gte', 0), ('present_usd__isnull', False)), _connector='OR'), name='price_proposal_present_is_whole'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('state', 'open')), models.Q(('decided_at__isnull', False), ('decided_by__isnull', True), ('state', 'superseded')), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False), ('state__in', ('approved', 'rejected'))), _connector='OR'), name='price_proposal_tells_who_decided')],
            },
        ),
    ]
