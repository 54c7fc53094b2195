import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

# A shared credential is sealed for its address as the upstream's single one was, so it moves as it
# is. Its last characters are not known here: they would have to be decrypted.
MOVE = """
    INSERT INTO providers_credential (upstream_id, tenant_id, name, sealed, hint, enabled, created)
    SELECT id, NULL, 'default', credential_sealed, '', true, now()
    FROM providers_upstream WHERE credential_sealed IS NOT NULL
"""
WATCH = """
    CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON providers_credential
        FOR EACH STATEMENT EXECUTE FUNCTION config_changed('catalog')
"""


class Migration(migrations.Migration):

    dependencies = [
        ('providers', '0001_initial'),
        ('tenants', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Credential',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(default='default', max_length=63)),
                ('sealed', models.BinaryField()),
                ('hint', models.CharField(blank=True, editable=False, max_length=4)),
                ('enabled', models.BooleanField(default=True)),
                ('created', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('tenant', models.ForeignKey(blank=True, help_text='Whose it is; this tenant alone goes with it, and with no other. Empty: shared by all that have none of their own.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='credentials', to='tenants.tenant')),
                ('upstream', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='credentials', to='providers.upstream')),
            ],
            options={
                'ordering': ['upstream', models.OrderBy(models.F('tenant'), nulls_first=True), 'name'],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='credential_has_a_name'),
                    models.UniqueConstraint(fields=('upstream', 'tenant', 'name'), name='credential_name_once', nulls_distinct=False, violation_error_message='This name is taken, here and for this tenant.'),
                ],
            },
        ),
        migrations.RunSQL(MOVE),
        migrations.RemoveField(model_name='upstream', name='credential_sealed'),
        migrations.RunSQL(WATCH),
    ]
