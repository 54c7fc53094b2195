"""`manage.py reconcile`: a provider's bill corrects estimates to what was billed, nothing else."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account
from tests.conftest import Ask


def run(bill: Path, *options: str) -> str:
    said = StringIO()
    call_command("reconcile", str(bill), *options, stdout=said, stderr=said)
    return said.getvalue()


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_it_works(ask: Ask, acme: Account, mock_provider: MockProvider, tmp_path: Path):
    ask("no_usage", text="a b c d e f g")
    [estimate] = acme.lines()
    [billed] = mock_provider.bill(str(estimate.id))
    assert estimate.amount_pico != billed["amount_pico"]

    bill = write(tmp_path / "bill.jsonl", [billed])
    assert "1 ledger lines corrected" in run(bill)
    assert "0 ledger lines corrected" in run(bill)
    assert sum(line.amount_pico or 0 for line in acme.lines(2)) == billed["amount_pico"]


def test_what_the_provider_reported_stays(
    ask: Ask, acme: Account, mock_provider: MockProvider, tmp_path: Path
):
    ask()
    [line] = acme.lines()
    bill = write(tmp_path / "bill.jsonl", mock_provider.bill(str(line.id)))
    assert "0 ledger lines corrected" in run(bill)
    acme.lines(1)


def test_a_complete_bill_voids_what_is_not_on_it(ask: Ask, acme: Account, tmp_path: Path):
    ask("no_usage")
    assert "corrected" in run(write(tmp_path / "bill.jsonl", []), "--complete")
    assert sum(line.amount_pico or 0 for line in acme.lines(2)) == 0


def test_a_line_that_the_ledger_does_not_know_is_said(live: str, tmp_path: Path):
    stray = {"attempt": "0193a5a2-0000-7000-8000-000000000000", "prompt_tokens": 1}
    said = run(write(tmp_path / "bill.jsonl", [stray]))
    assert "billed but not in the ledger: 0193a5a2" in said


@pytest.mark.parametrize("text", ["{", '{"attempt": 5}', '{"cached_tokens": 9}'])
def test_a_broken_bill_changes_nothing(live: str, tmp_path: Path, text: str):
    (tmp_path / "bill.jsonl").write_text(text)
    with pytest.raises(CommandError, match="line 1 of the bill"):
        run(tmp_path / "bill.jsonl")
