"""SQL that stands in its own file, run by a migration."""

from pathlib import Path

from django.db.migrations import RunSQL


def run_file(module_file: str, name: str) -> RunSQL:
    """The operation that runs `name` of the app whose migration `module_file` is.

    There is no way back: a database with money in it is restored from a backup, not migrated down.
    """
    return RunSQL((Path(module_file).parent.parent / name).read_text())
