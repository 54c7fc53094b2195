import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runestone.local.console import Console
from runestone.local.errors import StackError
from runestone.local.plan import from_environment
from runestone.local.supervisor import Supervisor
from runestone.local.welcome import told_anyway


class Command(BaseCommand):
    help = (
        "Runs the whole of Runestone on this machine, until Ctrl-C. Starts Postgres and Valkey"
        " too, unless DATABASE_URL and REDIS_URL name servers of your own."
    )
    # The steps check it, each in a process of its own.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            stack = from_environment()
        except StackError as error:
            raise CommandError(str(error)) from error
        console = Console()
        supervisor = Supervisor(stack.plan(), console)
        code = supervisor.run()
        if not supervisor.was_up:
            console.say(told_anyway(stack.seeded))
        sys.exit(code)
