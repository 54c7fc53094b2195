import io

import pytest

from runestone.local.console import CLEAR_LINE, Console


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Closed(io.StringIO):
    def write(self, text):
        raise OSError(5, "Input/output error")


def test_it_works():
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with Console(output).step("postgres"):
        pass
    output.seek(0)
    assert output.read() == "  ✓ postgres (0.0 s)\n"


def test_ascii_only():
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with Console(output).step("postgres"):
        pass
    output.seek(0)
    assert output.read() == "  ok postgres (0.0 s)\n"


def test_words_in_the_middle_of_a_step_get_their_own_line():
    terminal = Terminal()
    console = Console(terminal)
    with console.step("gateway"):
        console.say("a warning")
    assert "a warning\n" in terminal.getvalue()
    assert f"{CLEAR_LINE}a warning" in terminal.getvalue()


def test_a_step_that_fails_says_so():
    output = Terminal()
    with pytest.raises(ValueError, match="x"), Console(output).step("gateway"):
        raise ValueError("x")
    assert "gateway (" not in output.getvalue()


def test_a_terminal_that_is_gone_stops_nothing():
    console = Console(Closed())
    with console.step("stopped"):
        console.say("bye")
