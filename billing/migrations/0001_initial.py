import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import runestone.lib.fields
import runestone.lib.ids
from django.db import migrations, models

from runestone.lib.migrations import run_file


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('tenants', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='GatewayInstance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('host', models.CharField(max_length=255)),
                ('pid', models.PositiveIntegerField()),
                ('started', models.DateTimeField(default=django.utils.timezone.now)),
                ('heartbeat', models.DateTimeField(default=django.utils.timezone.now)),
                ('fenced', models.DateTimeField(blank=True, help_text='Declared dead; its holds are resolved by the sweeper.', null=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('period', models.CharField(choices=[('day', 'Day'), ('week', 'Week'), ('month', 'Month'), ('total', 'Total')], default='month', max_length=8)),
                ('limit_pico', runestone.lib.fields.PicoSumField(validators=[django.core.validators.MinValueValidator(0)])),
                ('hard', models.BooleanField(default=True, help_text='Refuse calls that could pass the limit; else only watch it.')),
                ('active', models.BooleanField(default=True)),
                ('created', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('api_key', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='tenants.apikey')),
                ('project', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='tenants.project')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='tenants.tenant')),
            ],
            options={
                'ordering': ['tenant', 'id'],
            },
        ),
        migrations.CreateModel(
            name='BudgetWindow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts', models.DateTimeField()),
                ('ends', models.DateTimeField(help_text='Exclusive.')),
                ('limit_pico', runestone.lib.fields.PicoSumField()),
                ('posted_pico', runestone.lib.fields.PicoSumField(default=0)),
                ('pending_pico', runestone.lib.fields.PicoSumField(default=0)),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='windows', to='billing.budget')),
            ],
            options={
                'ordering': ['-starts'],
            },
        ),
        # The table itself is ledger.sql's: Django cannot make a partitioned one.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='Entry',
                    fields=[
                        ('id', models.UUIDField(default=runestone.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                        ('created', models.DateTimeField()),
                        ('posted', models.DateTimeField(help_text='When the line was written.')),
                        ('kind', models.CharField(choices=[('charge', 'charge'), ('void', 'void: the provider did not bill'), ('orphan', 'orphan: its gateway died'), ('correction', 'correction of another line')], max_length=16)),
                        ('corrects', models.UUIDField(help_text='The original line, for a correction.', null=True)),
                        ('request_id', models.UUIDField()),
                        ('upstream', models.CharField(max_length=63)),
                        ('model', models.CharField(max_length=200)),
                        ('windows', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                        ('amount_pico', runestone.lib.fields.PicoField(help_text='Empty only while no price is known.', null=True)),
                        ('price_state', models.CharField(choices=[('priced', 'Priced'), ('estimated', 'estimated: reconciliation may correct it'), ('unpriced', 'no price known: on the work list')], max_length=16)),
                        ('price_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                        ('held_pico', runestone.lib.fields.PicoField(default=0)),
                        ('input_tokens', models.BigIntegerField(default=0)),
                        ('cached_input_tokens', models.BigIntegerField(default=0)),
                        ('cache_write_tokens', models.BigIntegerField(default=0)),
                        ('input_audio_tokens', models.BigIntegerField(default=0)),
                        ('output_tokens', models.BigIntegerField(default=0)),
                        ('reasoning_tokens', models.BigIntegerField(default=0)),
                        ('output_audio_tokens', models.BigIntegerField(default=0)),
                        ('usage_source', models.CharField(choices=[('reported', 'reported'), ('counted', 'counted'), ('none', 'none')], max_length=16)),
                        ('status', models.PositiveSmallIntegerField(help_text='The HTTP status the caller got.')),
                        ('error', models.CharField(blank=True, help_text="The error's code, if any.", max_length=64)),
                        ('streamed', models.BooleanField(default=False)),
                        ('upstream_request_id', models.CharField(blank=True, max_length=200)),
                        ('first_byte_ms', models.PositiveIntegerField(null=True)),
                        ('duration_ms', models.PositiveIntegerField(default=0)),
                        ('api_key', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, to='tenants.apikey')),
                        ('project', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='tenants.project')),
                        ('tenant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, to='tenants.tenant')),
                    ],
                    options={
                        'verbose_name_plural': 'entries',
                        'ordering': ['-created'],
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.UUIDField(default=runestone.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('request_id', models.UUIDField(help_text='Groups the attempts of one call.')),
                ('upstream', models.CharField(max_length=63)),
                ('model', models.CharField(max_length=200)),
                ('windows', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('amount_pico', runestone.lib.fields.PicoField(help_text='The most this attempt can cost.')),
                ('estimate_pico', runestone.lib.fields.PicoField(help_text='What it costs if it dies unseen: its input. Empty: no price is known.', null=True)),
                ('created', models.DateTimeField()),
                ('api_key', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to='tenants.apikey')),
                ('instance', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='billing.gatewayinstance')),
                ('project', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='tenants.project')),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to='tenants.tenant')),
            ],
            options={
                'ordering': ['created'],
            },
        ),
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('upstream', models.CharField(help_text="The upstream's slug.", max_length=63)),
                ('model', models.CharField(help_text="The model's canonical name.", max_length=200)),
                ('component', models.CharField(choices=[('input', 'input'), ('cached_input', 'cached_input'), ('cache_write', 'cache_write'), ('output', 'output'), ('reasoning', 'reasoning'), ('input_audio', 'input_audio'), ('output_audio', 'output_audio'), ('request', 'request')], max_length=16)),
                ('usd', models.DecimalField(decimal_places=12, help_text='US dollars per so many units.', max_digits=24, validators=[django.core.validators.MinValueValidator(0)])),
                ('per', models.PositiveIntegerField(default=1000000, help_text='Units: 1,000,000 for tokens, 1 for requests.', validators=[django.core.validators.MinValueValidator(1)])),
                ('context_from', models.PositiveIntegerField(default=0, help_text='Applies to calls with at least so many input tokens (a price tier).')),
                ('valid_from', models.DateTimeField(default=django.utils.timezone.now)),
                ('valid_to', models.DateTimeField(blank=True, help_text='Exclusive. Empty: open.', null=True)),
                ('source', models.CharField(blank=True, help_text='Where the price was read.', max_length=200)),
            ],
            options={
                'ordering': ['upstream', 'model', 'component', 'context_from', '-valid_from'],
                'constraints': [models.CheckConstraint(condition=models.Q(('usd__gte', 0)), name='price_not_negative'), models.CheckConstraint(condition=models.Q(('per__gte', 1)), name='price_per_at_least_1'), models.CheckConstraint(condition=models.Q(('valid_to__isnull', True), ('valid_to__gt', models.F('valid_from')), _connector='OR'), name='price_ends_after_it_begins')],
            },
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('limit_pico__gte', 0)), name='budget_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('project__isnull', True), ('api_key__isnull', True), _connector='OR'), name='budget_has_one_scope'),
        ),
        migrations.AddConstraint(
            model_name='budgetwindow',
            constraint=models.UniqueConstraint(fields=('budget', 'starts'), name='budget_window_once'),
        ),
        migrations.AddConstraint(
            model_name='budgetwindow',
            constraint=models.CheckConstraint(condition=models.Q(('ends__gt', models.F('starts'))), name='window_has_length'),
        ),
        migrations.AddConstraint(
            model_name='budgetwindow',
            constraint=models.CheckConstraint(condition=models.Q(('pending_pico__gte', 0)), name='pending_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('amount_pico__gte', 0)), name='hold_not_negative'),
        ),
        run_file(__file__, 'ledger.sql'),
        run_file(__file__, 'holds.sql'),
        run_file(__file__, 'revisions.sql'),
        # Partitions for this month and the next three; beat keeps them ahead (billing/tasks.py).
        migrations.RunSQL('SELECT billing_entry_partitions(now(), 3)', migrations.RunSQL.noop),
    ]
