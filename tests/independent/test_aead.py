"""Wycheproof's XChaCha20-Poly1305, through the door of bodies, wrapped keys and pairing messages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from echolia.e2ee.aead import NONCE_BYTES, seal, unseal
from tests.independent.files import raw, rows

CASES = rows("xchacha20_poly1305")


def test_valid_cases_seal_and_open_to_the_byte() -> None:
    wrong = []
    for case in CASES:
        if case["result"] == "valid":
            key, nonce, aad, plaintext, ciphertext, tag = raw(case, "key", "iv", "aad", "msg", "ct", "tag")
            sealed = ciphertext + tag
            if seal(key, nonce, plaintext, aad) != sealed or unseal(key, nonce, sealed, aad) != plaintext:
                wrong.append(case["tcId"])
    assert wrong == []


def test_invalid_cases_do_not_open() -> None:
    """Altered tags, and nonces of any length but 24 bytes: a nonce is never filled up or cut."""
    opened = []
    for case in CASES:
        if case["result"] != "valid":
            key, nonce, aad, ciphertext, tag = raw(case, "key", "iv", "aad", "ct", "tag")
            if unseal(key, nonce, ciphertext + tag, aad) is not None:
                opened.append(case["tcId"])
            assert case["flags"] == (["ModifiedTag"] if len(nonce) == NONCE_BYTES else ["InvalidNonceSize"])
    assert opened == []


def test_all_cases_are_here_and_none_leaves_a_choice() -> None:
    assert Counter(case["result"] for case in CASES) == {"valid": 246, "invalid": 69}


def test_no_other_module_has_a_cipher_of_its_own(repository: Path) -> None:
    package = repository / "echolia"
    doors = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "crypto_aead_" in path.read_text(encoding="utf-8")
    }
    # The opener of exports has its own of everything: it runs where Echolia is not. What stores say rests
    # sealed by a key of the server's, which has nothing of what devices seal by.
    assert doors == {"e2ee/aead.py", "client/open_export.py", "payments/store/sealing.py"}
