import socket
import threading
import time

import pytest

from runestone.local.errors import PortTakenError
from runestone.local.ports import Port, port_from, require_free, what_is_missing

from .fake_stack import free_port


def test_it_works():
    require_free(Port("127.0.0.1", free_port(), "PORT"), 0, time.sleep)


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "65536", "4001 "])
def test_what_is_no_port_is_named(text):
    with pytest.raises(PortTakenError, match=f"PORT is '{text}'"):
        port_from("PORT", text, "127.0.0.1")


def test_a_port_taken_on_all_addresses_is_taken():
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = Port("127.0.0.1", other.getsockname()[1], "PORT")
        with pytest.raises(PortTakenError, match="is taken"):
            require_free(port, 0, time.sleep)


def test_a_predecessor_gets_time_to_end():
    other = socket.create_server(("127.0.0.1", 0))
    threading.Timer(0.3, other.close).start()
    require_free(Port("127.0.0.1", other.getsockname()[1], "PORT"), 5, time.sleep)


def test_a_strange_host_is_explained():
    with pytest.raises(PortTakenError, match=r"Cannot listen on nowhere\.invalid"):
        require_free(Port("nowhere.invalid", 4001, "PORT"), 0, time.sleep)


def test_listening_everywhere_is_reached_at_home():
    assert Port("0.0.0.0", 4001, "PORT").url == "http://127.0.0.1:4001"
    assert Port("::", 4001, "PORT").url == "http://[::1]:4001"


def test_who_does_not_answer_is_missing():
    port = Port("127.0.0.1", free_port(), "PORT")
    assert "does not answer" in (what_is_missing(port, "/health/ready") or "")
