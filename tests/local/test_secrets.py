import base64
import os
import subprocess
import sys

import pytest

from runestone.local import secrets
from runestone.local.errors import UnsafePathError


def test_it_works(tmp_path):
    made = secrets.ensure(tmp_path)
    assert made.keys() == {"SECRET_KEY", "RUNESTONE_KEY_PEPPER", "RUNESTONE_CREDENTIAL_KEY"}
    assert len(base64.urlsafe_b64decode(made["RUNESTONE_CREDENTIAL_KEY"])) == 32
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_later_runs_get_the_same(tmp_path):
    assert secrets.ensure(tmp_path) == secrets.ensure(tmp_path) == secrets.read(tmp_path)


def test_a_secret_that_is_new_in_this_version_is_added(tmp_path):
    (tmp_path / "secrets.env").write_text("SECRET_KEY=old\n")
    assert secrets.ensure(tmp_path)["SECRET_KEY"] == "old"
    assert secrets.read(tmp_path).keys() == secrets.fresh().keys()


def test_what_the_operator_set_wins(tmp_path):
    environment = {"SECRET_KEY": "mine"}
    secrets.fill(environment, tmp_path)
    assert environment["SECRET_KEY"] == "mine"
    assert environment["RUNESTONE_KEY_PEPPER"] == secrets.read(tmp_path)["RUNESTONE_KEY_PEPPER"]


def test_first_runs_at_once_agree(tmp_path):
    code = (
        "import sys, pathlib; from runestone.local import secrets;"
        "print(secrets.ensure(pathlib.Path(sys.argv[1]))['SECRET_KEY'])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert len({run.communicate()[0] for run in runs}) == 1
    assert os.listdir(tmp_path) == ["secrets.env"]


def test_a_place_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnsafePathError, match="RUNESTONE_DATA_DIR"):
        secrets.ensure(tmp_path / "file")
