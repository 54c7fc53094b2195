"""Service tiers, searches, numbered attempts, cached answers: what one line now tells."""

import runestone.lib.fields
from django.db import migrations, models

from runestone.lib.migrations import run_file

_LEDGER = """
    ALTER TABLE billing_entry
        ADD COLUMN cache_write_1h_tokens bigint NOT NULL DEFAULT 0,
        ADD COLUMN web_searches bigint NOT NULL DEFAULT 0,
        ADD COLUMN service_tier varchar(16) NOT NULL DEFAULT '',
        ADD COLUMN attempt smallint NOT NULL DEFAULT 1,
        ADD COLUMN byok boolean NOT NULL DEFAULT false,
        ADD COLUMN saved_pico bigint,
        ADD COLUMN routing jsonb,
        DROP CONSTRAINT entry_kind,
        ADD CONSTRAINT entry_kind
            CHECK (kind IN ('charge', 'void', 'orphan', 'correction', 'cached')),
        ADD CONSTRAINT entry_saves_only_when_cached
            CHECK (saved_pico IS NULL OR kind = 'cached');
"""
# The service tier is part of what a price is of.
_PRICES = """
    ALTER TABLE billing_price DROP CONSTRAINT price_periods_do_not_overlap;
    ALTER TABLE billing_price ADD CONSTRAINT price_periods_do_not_overlap EXCLUDE USING gist (
        int8range(hashtextextended(upstream || '/' || model || '/' || component || '/'
                                   || context_from::text || '/' || service_tier, 0),
                  hashtextextended(upstream || '/' || model || '/' || component || '/'
                                   || context_from::text || '/' || service_tier, 0), '[]') WITH &&,
        tstzrange(valid_from, valid_to) WITH &&
    );
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.AlterModelOptions(
            name='price',
            options={'ordering': ['upstream', 'model', 'service_tier', 'component', 'context_from', '-valid_from']},
        ),
        migrations.AddField(
            model_name='hold',
            name='attempt',
            field=models.PositiveSmallIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='hold',
            name='byok',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='hold',
            name='service_tier',
            field=models.CharField(blank=True, help_text='The one asked for.', max_length=16),
        ),
        migrations.AddField(
            model_name='price',
            name='service_tier',
            field=models.CharField(blank=True, help_text="The provider's tier (flex, priority, batch). Empty: the standard one.", max_length=16),
        ),
        migrations.AlterField(
            model_name='price',
            name='component',
            field=models.CharField(choices=[('input', 'input'), ('cached_input', 'cached_input'), ('cache_write', 'cache_write'), ('cache_write_1h', 'cache_write_1h'), ('output', 'output'), ('reasoning', 'reasoning'), ('input_audio', 'input_audio'), ('output_audio', 'output_audio'), ('request', 'request'), ('web_search', 'web_search')], max_length=16),
        ),
        # The table itself is ledger.sql's: Django cannot make a partitioned one.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    model_name='entry',
                    name='attempt',
                    field=models.PositiveSmallIntegerField(default=1, help_text='Which try of its request this was.'),
                ),
                migrations.AddField(
                    model_name='entry',
                    name='byok',
                    field=models.BooleanField(default=False, help_text="Made with the tenant's own key, so the provider bills the tenant."),
                ),
                migrations.AddField(
                    model_name='entry',
                    name='cache_write_1h_tokens',
                    field=models.BigIntegerField(default=0),
                ),
                migrations.AddField(
                    model_name='entry',
                    name='routing',
                    field=models.JSONField(help_text="How the upstream was chosen, on a request's first line.", null=True),
                ),
                migrations.AddField(
                    model_name='entry',
                    name='saved_pico',
                    field=runestone.lib.fields.PicoField(help_text='For a cached answer: what the provider charged for it at first.', null=True),
                ),
                migrations.AddField(
                    model_name='entry',
                    name='service_tier',
                    field=models.CharField(blank=True, help_text='The one that served the call. Empty: the standard one.', max_length=16),
                ),
                migrations.AddField(
                    model_name='entry',
                    name='web_searches',
                    field=models.BigIntegerField(default=0),
                ),
                migrations.AlterField(
                    model_name='entry',
                    name='kind',
                    field=models.CharField(choices=[('charge', 'charge'), ('void', 'void: the provider did not bill'), ('orphan', 'orphan: its gateway died'), ('cached', 'cached: answered without a provider'), ('correction', 'correction of another line')], max_length=16),
                ),
            ],
        ),
        migrations.RunSQL(_LEDGER, migrations.RunSQL.noop),
        migrations.RunSQL(_PRICES, migrations.RunSQL.noop),
        run_file(__file__, 'holds.sql'),
    ]
