"""`manage.py seed`: fills an empty database for a first run; prints one line of JSON."""

from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from runestone.local.seed import seed


class Command(BaseCommand):
    help = "Fill an empty database with a demo tenant, a superuser and something to call."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(msgspec.json.encode(seed()).decode())
