"""Passphrases: one key each however they are composed, and as little of them left behind as Python allows."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.e2ee.passphrase import CEILING, FLOOR, WORK, Passphrase, Work, wipe
from echolia.e2ee.vault_seal import ByKeychain, ByPassphrase, SealedVault

SALT = bytes(range(16))
DICE = bytes


def code_of(work: Any, *args: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        work(*args)
    return error.value.code


def test_text_and_bytes_are_one_passphrase() -> None:
    keys = {
        bytes(Passphrase(typed).key(SALT, FLOOR))
        for typed in ("Å is one", "A\u030a is one", "Å is one".encode(), bytearray("Å is one".encode()))
    }
    assert len(keys) == 1
    assert bytes(Passphrase("another 8").key(SALT, FLOOR)) not in keys
    assert bytes(Passphrase("Å is one").key(SALT[::-1], FLOOR)) not in keys


@pytest.mark.parametrize("typed", ["", "seven 7", "x" * 1025, "ü" * 7])
def test_what_may_not_be_chosen(typed: str) -> None:
    assert code_of(Passphrase(typed).check_new) == "passphrase_invalid"


@pytest.mark.parametrize("typed", ["eight: 8", "ü" * 8, "x" * 1024])
def test_what_may_be_chosen(typed: str) -> None:
    Passphrase(typed).check_new()


@pytest.mark.parametrize("typed", [b"\xff not UTF-8", "half a pair \ud800", bytearray(b"\xc3")])
def test_what_is_no_text(typed: Any) -> None:
    assert code_of(Passphrase, typed) == "passphrase_invalid"


def test_it_is_overwritten_at_the_end() -> None:
    with Passphrase("correct horse battery") as passphrase:
        assert passphrase._text == bytearray(b"correct horse battery")
        assert "horse" not in repr(passphrase)
        kept = passphrase._text
    assert kept == bytearray(len(kept))


def test_wiping_keeps_the_buffer() -> None:
    buffer = bytearray(b"key")
    same = buffer
    wipe(buffer)
    assert same is buffer and same == bytearray(3)


def test_what_is_written_is_within_what_is_read() -> None:
    assert WORK.within_limits() and FLOOR.within_limits() and CEILING.within_limits()
    assert WORK.ops >= FLOOR.ops and WORK.mem > FLOOR.mem
    assert FLOOR.mem >= 64 << 20
    for less in (Work(FLOOR.ops - 1, WORK.mem), Work(WORK.ops, FLOOR.mem - 1)):
        assert not less.within_limits()


def test_no_bit_of_a_sealed_vault_is_spare() -> None:
    key = bytearray(b"k" * 32)
    raw = SealedVault.seal(b"contents", ByKeychain(bytes(16)), key, DICE).encode()
    assert SealedVault.decode(canonical.decode(raw)).open(key) == b"contents"
    for at in range(len(raw)):
        changed = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
        with pytest.raises((EcholiaError, ValueError)):
            SealedVault.decode(canonical.decode(changed)).open(key)


def test_a_vault_is_bound_to_how_its_key_is_kept() -> None:
    key = bytearray(b"k" * 32)
    sealed = SealedVault.seal(b"contents", ByKeychain(bytes(16)), key, DICE)
    moved = SealedVault(ByPassphrase(bytes(16), WORK), sealed.check, sealed.nonce, sealed.sealed)
    assert code_of(moved.open, key) == "passphrase_wrong"


def test_nothing_secret_is_shown() -> None:
    key = bytearray(b"secret key of 32 bytes, not shown")[:32]
    sealed = SealedVault.seal(b"contents", ByKeychain(bytes(16)), key, DICE)
    assert "contents" not in repr(sealed) and "secret key" not in repr(sealed)
