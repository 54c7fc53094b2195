"""The shape of the house: imports point one way, migrations are complete, style and types hold."""

import subprocess
import sys

import pytest
from django.core.management import call_command


def assert_passes(*module_and_arguments: str) -> None:
    checked = subprocess.run(
        [sys.executable, *module_and_arguments], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_imports_point_one_way():
    assert_passes("-c", "from importlinter.cli import lint_imports_command as lint; lint()")


@pytest.mark.django_db
def test_migrations_are_complete():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_style():
    assert_passes("-m", "ruff", "check", ".")


def test_format():
    assert_passes("-m", "ruff", "format", "--check", ".")


def test_types():
    assert_passes("-m", "mypy")
