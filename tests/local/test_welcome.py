import json

import pytest

from runestone.local.errors import StepFailedError
from runestone.local.welcome import Seeded, read_seeded, told_anyway, welcome

FIRST = {"created": True, "admin_username": "root", "admin_password": "pw", "api_key": "sk-rs-1"}
LATER = {"created": False, "admin_username": "root"}


def test_it_works():
    words = welcome("http://127.0.0.1:4001", read_seeded(json.dumps(FIRST)))
    assert "root / pw" in words
    assert words.count("sk-rs-1") == 4


def test_later_runs_have_no_secrets_to_tell():
    words = welcome("http://127.0.0.1:4001", read_seeded(json.dumps(LATER)))
    assert "http://127.0.0.1:4001/admin/tenants/apikey/add/" in words
    assert "Bearer $RUNESTONE_API_KEY" in words


def test_the_line_of_json_may_follow_others():
    assert read_seeded(f"a warning\n{json.dumps(FIRST)}\n").api_key == "sk-rs-1"


@pytest.mark.parametrize("output", ["", "no json", "{}"])
def test_a_seed_that_prints_something_else_is_a_failed_step(output):
    with pytest.raises(StepFailedError):
        read_seeded(output)


def test_a_first_run_that_fails_later_still_tells_the_secrets():
    assert "sk-rs-1" in told_anyway(read_seeded(json.dumps(FIRST)))
    assert told_anyway(Seeded()) == ""
