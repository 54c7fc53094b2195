import signal
import subprocess
import sys

import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.mock_provider import raw


def test_it_works(tmp_path):
    bill = tmp_path / "bill.jsonl"
    with MockProvider(bill=bill) as provider:
        assert provider.url.startswith("http://127.0.0.1:")
        assert provider.url.endswith("/v1")
        assert provider.bill() == []
    assert provider.process.returncode == 0
    assert bill.exists()


def hanging(provider):
    body = {"model": "mock-hang", "messages": [{"role": "user", "content": "hi"}]}
    line = raw.connect(provider.url)
    line.sendall(raw.request(body))
    provider.wait(lambda calls: calls["in_flight"] == 1)
    return line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_cleanly_even_with_a_hanging_call(number):
    with MockProvider() as provider, hanging(provider):
        provider.process.send_signal(number)
        assert provider.process.wait(5) == 0


def test_what_was_made_before_the_end_is_billed():
    with MockProvider() as provider:
        body = {"model": "mock-gap=9", "messages": [{"role": "user", "content": "a b"}]}
        with raw.connect(provider.url) as line:
            line.sendall(raw.request(body | {"stream": True}))
            while b'"a "' not in line.recv(4096):
                pass
            provider.stop()
            (billed,) = provider.bill()
            assert (billed["completion_tokens"], billed["finished"]) == (1, False)


def test_it_comes_back_to_its_port_and_its_bill():
    with MockProvider() as provider:
        url = provider.url
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
        raw.call(url, raw.request(body))
        provider.kill()
        assert provider.start().url == url
        raw.call(url, raw.request(body))
        assert len(provider.bill()) == 2


def test_django_is_not_imported():
    code = "import runestone.local.mock_provider.__main__, sys; print('django' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_a_wrong_scenario_stops_the_start():
    with pytest.raises(RuntimeError, match="did not start"):
        MockProvider(scenario="nonsense").start()
