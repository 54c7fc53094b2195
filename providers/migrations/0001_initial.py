import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import providers.models
from django.db import migrations, models

from runestone.lib.migrations import run_file


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('tenants', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Upstream',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(help_text="The provider's name in requests and in the ledger.", max_length=63, unique=True)),
                ('name', models.CharField(max_length=200)),
                ('dialect', models.CharField(choices=providers.models.dialect_choices, help_text='The wire format it speaks.', max_length=32)),
                ('base_url', models.CharField(help_text='Up to and including the version, without a trailing slash.', max_length=500)),
                ('credential_sealed', models.BinaryField(blank=True, null=True)),
                ('quirks', models.JSONField(blank=True, default=dict, help_text='How this vendor departs from its dialect: {"refuse_fields": [], "drop_fields": [], "rename_fields": {}, "headers": {}, "query": {}}.')),
                ('enabled', models.BooleanField(default=True)),
                ('created', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'ordering': ['slug'],
            },
        ),
        migrations.CreateModel(
            name='Model',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, unique=True)),
                ('family', models.CharField(blank=True, max_length=64)),
                ('owned_by', models.CharField(default='system', max_length=64)),
                ('capabilities', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('chat', 'Chat'), ('streaming', 'Streaming'), ('tools', 'Tools'), ('parallel_tools', 'Parallel Tools'), ('vision', 'Vision'), ('audio', 'Audio'), ('pdf', 'Pdf'), ('json_schema', 'Json Schema'), ('reasoning', 'Reasoning'), ('prompt_cache', 'Prompt Cache'), ('web_search', 'Web Search'), ('completion', 'Completion'), ('embeddings', 'Embeddings'), ('moderation', 'Moderation')], max_length=32), blank=True, default=list, size=None)),
                ('context_window', models.PositiveIntegerField(blank=True, help_text='Tokens.', null=True)),
                ('max_output_tokens', models.PositiveIntegerField(blank=True, help_text='Tokens.', null=True)),
                ('enabled', models.BooleanField(default=True)),
                ('created', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='model_has_a_name')],
            },
        ),
        migrations.CreateModel(
            name='Route',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('upstream_model', models.CharField(help_text="The upstream's own name for the model.", max_length=200)),
                ('priority', models.PositiveSmallIntegerField(default=100, help_text='Lower is tried first.')),
                ('weight', models.PositiveSmallIntegerField(default=1, help_text='Share among routes of the same priority.', validators=[django.core.validators.MinValueValidator(1)])),
                ('enabled', models.BooleanField(default=True)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='routes', to='providers.model')),
                ('upstream', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='routes', to='providers.upstream')),
            ],
            options={
                'ordering': ['model', 'priority', 'id'],
                'constraints': [models.UniqueConstraint(fields=('model', 'upstream'), name='route_once_per_upstream'), models.CheckConstraint(condition=models.Q(('weight__gte', 1)), name='route_weight_at_least_1')],
            },
        ),
        run_file(__file__, 'revisions.sql'),
    ]
