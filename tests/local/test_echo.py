import pytest

from runestone.local import echo as echo_module
from runestone.local.echo import LINES_MAX, Echo

DJANGO = "2026-01-31 10:00:00,000 {:7} api.errors: {}\n"
CELERY = "[2026-01-31 10:00:00,000: {}/MainProcess] {}\n"
TRACEBACK = "Traceback (most recent call last):\n  File x, line 1\nKeyError: 'x'\n"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "gateway.log"
    path.touch()
    return path


@pytest.mark.parametrize("form", [DJANGO, CELERY])
def test_it_works(log, form):
    echo = Echo("gateway", log)
    log.write_text(form.format("INFO", "whisper") + form.format("ERROR", "shout"))
    assert [line.split()[-1] for line in echo.news()] == ["shout"]
    assert echo.news() == []


def test_a_traceback_is_told_with_its_error(log):
    echo = Echo("gateway", log)
    log.write_text(DJANGO.format("ERROR", "x") + TRACEBACK + DJANGO.format("INFO", "whisper"))
    assert len(echo.news()) == 4


def test_half_a_line_waits_for_its_end(log):
    echo = Echo("gateway", log)
    log.write_text("Traceback (most rec")
    assert echo.news() == []
    log.write_text("Traceback (most recent call last):\n")
    assert echo.news() == ["gateway | Traceback (most recent call last):"]


def test_a_flood_is_cut_and_later_news_are_heard(log, monkeypatch):
    now = 0.0
    monkeypatch.setattr(echo_module.time, "monotonic", lambda: now)
    echo = Echo("gateway", log)
    log.write_text(DJANGO.format("ERROR", "again") * 1000)
    assert len(echo.news()) == LINES_MAX + 1
    with log.open("a") as file:
        file.write(DJANGO.format("ERROR", "again") * 1000)
    assert echo.news() == []
    now = echo_module.WINDOW_SECONDS + 1
    with log.open("a") as file:
        file.write(DJANGO.format("ERROR", "news"))
    assert len(echo.news()) == 1
