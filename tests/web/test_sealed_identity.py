"""The identity that signs sealing keys, as it lies in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from echolia.core.errors import EcholiaError
from echolia.web.sealed_door import load_identity


def test_it_is_made_once(tmp_path: Path) -> None:
    made = load_identity(tmp_path).pins
    assert load_identity(tmp_path).pins == made
    assert made.identity != made.next
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("*.key")} == {0o600}


def test_the_next_one_may_lie_elsewhere(tmp_path: Path) -> None:
    made = load_identity(tmp_path).pins
    (tmp_path / "next.key").unlink()
    assert load_identity(tmp_path).pins == made
    assert not (tmp_path / "next.key").exists()


def test_the_next_one_takes_its_place(tmp_path: Path) -> None:
    before = load_identity(tmp_path).pins
    (tmp_path / "next.key").rename(tmp_path / "identity.key")
    (tmp_path / "next.pub").unlink()
    after = load_identity(tmp_path).pins
    assert after.identity == before.next
    assert after.next not in before


@pytest.mark.parametrize("wrong", ["", "00" * 31, "00" * 33, "zz" * 32, "é"])
def test_a_public_half_that_is_none_is_said(tmp_path: Path, wrong: str) -> None:
    load_identity(tmp_path)
    (tmp_path / "next.pub").write_text(wrong, encoding="utf-8")
    with pytest.raises(EcholiaError, match="settings_invalid"):
        load_identity(tmp_path)


def test_what_signs_is_what_is_shown(tmp_path: Path) -> None:
    identity = load_identity(tmp_path)
    assert isinstance(identity.signing, Ed25519PrivateKey)
    assert identity.signing.public_key().public_bytes_raw() == identity.pins.identity
