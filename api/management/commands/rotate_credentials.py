"""`manage.py rotate_credentials`: only the first key of RUNESTONE_CREDENTIAL_KEY is needed then.

It can be stopped and repeated at any time, while gateways run.
"""

from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from api.models import StoredResponse
from api.responses.store import context as response_context
from providers import credentials
from providers.models import Credential
from runestone.lib.rotation import reseal

PROGRESS_ROWS = 10_000


class Command(BaseCommand):
    help = "Seal credentials and stored responses anew, under the first credential key."

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = self._rotate(
            "credentials", Credential.objects.select_related("upstream"), _credential_context
        ) + self._rotate("stored responses", StoredResponse.objects.all(), _response_context)
        if unreadable:
            raise CommandError(
                f"{unreadable} could not be opened. If they are still needed, configure the key "
                "that sealed them and run this again; otherwise delete them."
            )

    def _rotate(self, what: str, rows: QuerySet[Any], context: Callable[[Any], str]) -> int:
        """How many could not be opened."""
        done = unreadable = told = 0
        for count, unopened in reseal(rows, credentials.vault(), context):
            done += count
            unreadable += len(unopened)
            for row in unopened:
                self.stderr.write(f"cannot be opened: {_named(row)}")
            if done - told >= PROGRESS_ROWS:
                told = done
                self.stdout.write(f"{what}: {done} so far")
        self.stdout.write(f"{what}: {done} of {rows.count()} sealed anew")
        return unreadable


def _credential_context(row: Credential) -> str:
    return credentials.context(row.upstream.base_url, row.tenant_id)


def _response_context(row: StoredResponse) -> str:
    return response_context(row.tenant_id, row.id)


def _named(row: Credential | StoredResponse) -> str:
    if isinstance(row, Credential):
        return f"credential {row.pk}, {row.name!r} of upstream {row.upstream.slug}"
    return f"stored response {row}"
