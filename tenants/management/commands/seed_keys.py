"""`manage.py seed_keys`: stores the keys of RUNESTONE_API_KEYS that are not here yet.

It only ever adds: a key that was revoked stays revoked, and one that has left the list goes on.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from tenants import keys
from tenants.models import ApiKey, Tenant

NAME = "from RUNESTONE_API_KEYS"


class Command(BaseCommand):
    help = "Store the keys that RUNESTONE_API_KEYS names as tenant-slug:key,tenant-slug:key."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        entries = [entry.partition(":") for entry in settings.RUNESTONE_API_KEYS]
        added = sum(_brought(slug.strip(), text.strip()) for slug, _, text in entries)
        self.stdout.write(f"{added} keys added, {len(entries) - added} were here already")


def _brought(slug: str, text: str) -> bool:
    """Whether the key was new. What is wrong is told without telling the key."""
    _check_form(slug, text)
    try:
        tenant = Tenant.objects.get(slug=slug)
        api_key, is_new = ApiKey.bring(tenant=tenant, name=NAME, text=text)
    except Tenant.DoesNotExist:
        raise CommandError(f"RUNESTONE_API_KEYS: there is no tenant {slug!r}") from None
    except ValidationError as fault:
        raise CommandError(f"RUNESTONE_API_KEYS: {slug}: {fault.messages}") from None
    if api_key.tenant_id != tenant.pk:
        raise CommandError(f"RUNESTONE_API_KEYS: a key of {slug} is another tenant's")
    return is_new


def _check_form(slug: str, text: str) -> None:
    if not keys.FOREIGN_LENGTH_MIN <= len(text) <= keys.FOREIGN_LENGTH_MAX:
        raise CommandError(
            f"RUNESTONE_API_KEYS: a key of {slug[:63]!r} has {len(text)} characters; "
            f"{keys.FOREIGN_LENGTH_MIN} to {keys.FOREIGN_LENGTH_MAX} will do"
        )
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise CommandError(f"RUNESTONE_API_KEYS: a key of {slug!r} is not plain ASCII")
