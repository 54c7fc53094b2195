"""What a call may say of the cache, and what its key says for it."""

import pytest

from api.cache.terms import Terms, terms_of
from runestone.lib.errors import BadRequest
from tenants.models import CACHE_SECONDS_MAX


@pytest.mark.parametrize(
    ("header", "key_seconds", "terms"),
    [
        (None, None, None),
        (None, 30, Terms(30, reads=True)),
        ("60", None, Terms(60, reads=True)),
        (" 60 ", 30, Terms(60, reads=True)),
        ("1", None, Terms(1, reads=True)),
        (str(CACHE_SECONDS_MAX), None, Terms(CACHE_SECONDS_MAX, reads=True)),
        ("no-store", None, None),
        ("No-Store", 30, None),
        ("refresh", 30, Terms(30, reads=False)),
        ("Refresh, 60", None, Terms(60, reads=False)),
        ("60,refresh", 30, Terms(60, reads=False)),
    ],
)
def test_what_a_header_says(header, key_seconds, terms):
    assert terms_of(header, key_seconds) == terms


@pytest.mark.parametrize(
    "header",
    ["", "0", "-1", "1.5", "60s", "on", "true", "60, 60", "no-store, 60", "refresh, no-store",
     "refresh, refresh", "60,", "²", "٣", str(CACHE_SECONDS_MAX + 1), "9" * 5_000],
    ids=lambda header: header[:12].encode("unicode_escape").decode() or "empty",
)  # fmt: skip
@pytest.mark.parametrize("key_seconds", [None, 30], ids=["key-says-nothing", "key-says-30"])
def test_what_no_header_may_say(header, key_seconds):
    with pytest.raises(BadRequest) as caught:
        terms_of(header, key_seconds)
    assert "from 1 to 604800" in caught.value.message
    assert (caught.value.param, caught.value.code) == ("x-runestone-cache", "invalid_value")


def test_a_refresh_has_to_know_for_how_long():
    with pytest.raises(BadRequest) as caught:
        terms_of("refresh", None)
    assert "'refresh, 60'" in caught.value.message
