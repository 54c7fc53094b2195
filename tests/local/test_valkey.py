import os
import signal

import pytest
import redis

from runestone.local import valkey as valkey_module
from runestone.local.errors import NoServerError, ServerFailedError
from runestone.local.valkey import Valkey

from .conftest import abandon, processes_below


def client_of(valkey):
    return redis.Redis.from_url(valkey.home.redis_url(), protocol=2)


def test_it_works(home, running):
    valkey = running(Valkey(home))
    client_of(valkey).set("kept", "yes")
    valkey.stop()
    assert processes_below(home.sockets) == {}
    assert client_of(running(Valkey(home))).get("kept") == b"yes"


def test_it_comes_back_after_a_kill(home, running):
    valkey = running(Valkey(home))
    client_of(valkey).set("kept", "yes")
    os.kill(valkey.process.pid, signal.SIGKILL)
    abandon(valkey)
    again = running(Valkey(home))
    assert client_of(again).get("kept") == b"yes"


def test_it_never_evicts(home, running):
    valkey = running(Valkey(home))
    assert client_of(valkey).config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_it_listens_on_no_port(home, running):
    valkey = running(Valkey(home))
    assert client_of(valkey).config_get("port")["port"] == "0"


def test_a_server_that_cannot_start_says_why(home, running):
    (home.data / "valkey/appendonlydir").mkdir(parents=True)
    manifest = home.data / "valkey/appendonlydir/appendonly.aof.manifest"
    manifest.write_text("nonsense\n")
    with pytest.raises(ServerFailedError, match="manifest"):
        running(Valkey(home))


def test_without_a_wheel_it_says_what_to_set(home, monkeypatch):
    monkeypatch.delenv("RUNESTONE_VALKEY_BIN", raising=False)
    monkeypatch.setattr(valkey_module, "in_wheel", lambda *names: None)
    with pytest.raises(NoServerError, match="REDIS_URL"):
        Valkey(home).start()
