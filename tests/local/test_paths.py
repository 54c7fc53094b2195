import os
from pathlib import Path

import environ
import pytest
from psycopg.conninfo import conninfo_to_dict
from redis.connection import parse_url

from runestone.local import paths
from runestone.local.errors import UnsafePathError
from runestone.local.paths import Home, celery_broker_url, claim_private_directory

HOME = Home(data=Path("/somewhere"), sockets=Path("/tmp/with space"))


def test_it_works():
    home = paths.home()
    assert home.database_url() == paths.database_url()
    assert home.redis_url() == paths.redis_url()


def test_libpq_and_django_understand_the_same_database_url():
    django = environ.Env.db_url_config(HOME.database_url())
    assert (django["NAME"], django["USER"], django["HOST"]) == ("runestone", "postgres", "")
    assert django["OPTIONS"] == {"host": "/tmp/with space", "port": 5432}
    assert conninfo_to_dict(HOME.database_url()) == {
        "user": "postgres",
        "dbname": "runestone",
        "host": "/tmp/with space",
        "port": "5432",
    }


def test_redis_clients_understand_the_redis_url():
    understood = parse_url(HOME.redis_url(3))
    assert (understood["path"], understood["db"]) == ("/tmp/with space/valkey.sock", 3)


@pytest.mark.parametrize(
    ("ours", "celerys"),
    [
        ("unix:///tmp/r/valkey.sock?db=2", "redis+socket:///tmp/r/valkey.sock?virtual_host=2"),
        ("unix:///tmp/r/valkey.sock", "redis+socket:///tmp/r/valkey.sock?virtual_host=0"),
        ("redis://cache:6379/1", "redis://cache:6379/1"),
        ("rediss://u:p@cache:6379", "rediss://u:p@cache:6379"),
    ],
)
def test_celery_gets_its_own_words_for_sockets(ours, celerys):
    assert celery_broker_url(ours) == celerys


def test_a_long_repository_path_does_not_make_a_long_socket_path(monkeypatch):
    monkeypatch.setenv("RUNESTONE_DATA_DIR", f"/{'long' * 50}")
    assert len(str(paths.home().valkey_socket)) < 107


def test_another_data_directory_is_another_stack(monkeypatch):
    monkeypatch.setenv("RUNESTONE_DATA_DIR", "/one")
    one = paths.home()
    monkeypatch.setenv("RUNESTONE_DATA_DIR", "/two")
    assert one.sockets != paths.home().sockets


def test_a_private_directory_is_private(tmp_path):
    claim_private_directory(tmp_path / "new", owners=(os.getuid(),))
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_symlink_is_not_claimed(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(UnsafePathError):
        claim_private_directory(tmp_path / "link", owners=(os.getuid(),))


def test_somebody_elses_directory_is_not_claimed(tmp_path):
    with pytest.raises(UnsafePathError):
        claim_private_directory(tmp_path, owners=(os.getuid() + 1,))
