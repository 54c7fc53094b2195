"""Every dialect is held to the contract of contract.py, with recordings of its own wire."""

import pytest

from providers.dialects import DIALECTS, Dialect, dialect_of
from providers.dialects.quirks import Mend, Quirks
from tests.providers import contract
from tests.providers.calls import RECORDINGS, target
from tests.providers.contract import CHECKS, Spoken, every_check, spoken

# The echo answers in OpenAI's words.
FOLDERS = {"echo": RECORDINGS / "openai"}
# A vendor that needs all that can be mended.
MENDED = dialect_of(target(quirks=Quirks(mend=frozenset(Mend), finish_reasons={"eos": "stop"})))
SPOKEN = {name: spoken(DIALECTS[name], FOLDERS.get(name)) for name in sorted(DIALECTS)}
each_dialect = pytest.mark.parametrize(
    "it",
    [
        *(pytest.param(each, id=name) for name, each in SPOKEN.items()),
        pytest.param(spoken(MENDED), id="mended"),
    ],
)


@every_check
@each_dialect
def test_it_works(it: Spoken, check):
    check(it)


def test_no_check_is_forgotten():
    named = [name for name, each in vars(contract).items() if _takes_spoken(each)]
    assert named == [check.__name__ for check in CHECKS]


def _takes_spoken(each: object) -> bool:
    return list(getattr(each, "__annotations__", {}).items())[:1] == [("it", Spoken)]


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_dialect_is_known_by_its_name(name):
    dialect: Dialect = DIALECTS[name]
    assert dialect.name == name
    assert dialect.request_id_header == dialect.request_id_header.lower()
    assert dialect_of(target(dialect=name)) is dialect
