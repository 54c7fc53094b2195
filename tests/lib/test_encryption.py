import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runestone.lib.encryption import CannotOpen, Vault


def fresh_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


OLD, NEW = fresh_key(), fresh_key()


def test_it_works():
    vault = Vault([NEW])
    sealed = vault.seal("sk-secret", context="upstream:https://a")
    assert b"sk-secret" not in sealed
    assert vault.open(sealed, context="upstream:https://a") == "sk-secret"


@given(st.text(), st.text())
def test_anything_can_be_sealed(secret, context):
    vault = Vault([NEW])
    assert vault.open(vault.seal(secret, context=context), context=context) == secret


@given(st.binary(), st.text())
def test_bytes_can_be_sealed_too(secret, context):
    vault = Vault([NEW])
    assert vault.open_bytes(vault.seal_bytes(secret, context=context), context=context) == secret


def test_bytes_do_not_open_as_text():
    vault = Vault([NEW])
    with pytest.raises(CannotOpen):
        vault.open(vault.seal_bytes(b"\xff", context="c"), context="c")


def test_no_two_seals_are_alike():
    vault = Vault([NEW])
    assert vault.seal("same", context="c") != vault.seal("same", context="c")


def test_it_opens_in_its_own_context_only():
    vault = Vault([NEW])
    sealed = vault.seal("sk-secret", context="upstream:https://a")
    with pytest.raises(CannotOpen):
        vault.open(sealed, context="upstream:https://b")


def test_old_keys_open_and_the_first_one_seals():
    before = Vault([OLD]).seal("sk-secret", context="c")
    rotating = Vault([NEW, OLD])
    assert rotating.open(before, context="c") == "sk-secret"
    after = rotating.seal("sk-secret", context="c")
    assert Vault([NEW]).open(after, context="c") == "sk-secret"
    with pytest.raises(CannotOpen):
        Vault([OLD]).open(after, context="c")
    with pytest.raises(CannotOpen):
        Vault([NEW]).open(before, context="c")


def test_a_changed_bit_anywhere_is_noticed():
    vault = Vault([NEW])
    sealed = vault.seal("sk", context="c")
    for position in range(len(sealed)):
        tampered = bytearray(sealed)
        tampered[position] ^= 1
        with pytest.raises(CannotOpen):
            vault.open(bytes(tampered), context="c")


def test_a_seal_that_was_cut_short_does_not_open():
    vault = Vault([NEW])
    sealed = vault.seal("sk-secret", context="c")
    for length in range(len(sealed)):
        with pytest.raises(CannotOpen):
            vault.open(sealed[:length], context="c")


def test_a_memoryview_from_the_database_opens():
    vault = Vault([NEW])
    assert vault.open(memoryview(vault.seal("sk", context="c")), context="c") == "sk"


def test_keys_may_come_without_padding():
    sealed = Vault([NEW]).seal("sk", context="c")
    assert Vault([NEW.rstrip("=")]).open(sealed, context="c") == "sk"


@pytest.mark.parametrize("keys", [[], [""], ["c2hvcnQ="], [NEW, "c2hvcnQ="]])
def test_a_weak_key_is_refused_at_once(keys):
    with pytest.raises(ValueError, match="key"):
        Vault(keys)
