"""Tests in which a reply legitimately departs from what is described, each with its reason.

These have the provider send what no description allows, and the gateway passes on what it is paid
for rather than lose it. An exemption names its tests and the one place in the reply: anything else
that is wrong in the same reply still fails the run.
"""

from typing import NamedTuple


class Exemption(NamedTuple):
    # How the name of the test begins: `tests/…/test_x.py::test_y`.
    test: str
    # How the place of the fault begins, as in `$.choices[0].finish_reason`.
    place: str
    why: str


EXEMPTIONS: tuple[Exemption, ...] = ()


def exempt(test: str) -> bool:
    """Whether anything at all is exempt in a test."""
    return any(test.startswith(each.test) for each in EXEMPTIONS)


def exemption(test: str, complaint: str) -> Exemption | None:
    """The one that covers a complaint, which begins with the place of the fault."""
    for each in EXEMPTIONS:
        if test.startswith(each.test) and complaint.startswith(each.place):
            return each
    return None
