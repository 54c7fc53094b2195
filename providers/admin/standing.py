"""An upstream's standing in words and badges, for its row and its page."""

import time
from typing import NamedTuple

from providers.board import Figures, Probe
from providers.breaker import FAILURE_SHARE_MAX, BreakerState
from providers.standings import FIGURES_MINUTES, Standing
from runestone.admin.parts import EMPTY

MINUTES = f"{FIGURES_MINUTES:g} min"
UNKNOWN = "Redis does not answer, so nothing is known of breakers, probes and traffic."

_STATES = {
    BreakerState.CLOSED: ("closed", "success"),
    BreakerState.OPEN: ("open", "danger"),
    BreakerState.HALF_OPEN: ("half-open", "warning"),
}


class Badge(NamedTuple):
    """`colour` is empty where `word` is a dash, and no badge at all."""

    word: str = EMPTY
    colour: str = ""
    note: str = ""


def breaker(standing: Standing) -> Badge:
    word, colour = _STATES[standing.state]
    if standing.state is BreakerState.OPEN:
        return Badge(word, colour, f"tried in {max(1, round(standing.seconds))} s")
    return Badge(word, colour, "on trial" if standing.state is BreakerState.HALF_OPEN else "")


def probe(standing: Standing) -> Badge:
    found = standing.probe
    if found is None:
        return Badge()
    if not found.up:
        return Badge("down", "danger", _told(found))
    return Badge("refused", "warning", _told(found)) if found.problem else Badge("up", "success")


def share_failed(figures: Figures) -> str:
    return f"{100 * figures.failures / figures.calls:.3g} %" if figures.calls else EMPTY


def tone(figures: Figures) -> str:
    """The class for it: as bad as what opens a breaker, worth a look, or nothing."""
    if not figures.failures:
        return ""
    return "rs-bad" if figures.failures >= FAILURE_SHARE_MAX * figures.calls else "rs-warn"


def first_byte(figures: Figures) -> str:
    if not figures.first_bytes:
        return EMPTY
    milliseconds = 1_000 * figures.first_byte_seconds / figures.first_bytes
    return f"{milliseconds:,.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def age(probe: Probe) -> str:
    return f"{max(0, round(time.time() - probe.at))} s ago"


def _told(probe: Probe) -> str:
    times = f", {probe.failures} times in a row" if probe.failures > 1 else ""
    return probe.problem + times


def figures(standing: Standing | None) -> list[dict[str, object]]:
    """For the page: a name, a value or a badge, and a note."""
    if standing is None:
        names = ("Breaker", "Last probe", "Calls", "Failed", "First byte")
        return [{"name": name, "value": EMPTY} for name in names]
    traffic = standing.figures
    tried, probed = breaker(standing), probe(standing)
    asked = age(standing.probe) if standing.probe else "not probed"
    return [
        {"name": "Breaker", "badge": tried, "note": tried.note or "calls go through"},
        {
            "name": "Last probe",
            "badge": probed,
            "note": ", ".join(filter(None, (probed.note, asked))),
        },
        {"name": "Calls", "value": f"{traffic.calls:,}", "note": f"in {MINUTES}"},
        {
            "name": "Failed",
            "value": share_failed(traffic),
            "tone": tone(traffic),
            "note": f"{traffic.failures:,} of {traffic.calls:,}" if traffic.calls else "",
        },
        {"name": "First byte", "value": first_byte(traffic), "note": "on average"},
    ]
