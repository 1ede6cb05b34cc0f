"""The English vectors of BIP-39: our phrases are the 24-word ones, and no others are taken."""

from __future__ import annotations

import pytest

from echolia.core.errors import EcholiaError
from echolia.e2ee.derive import derive
from echolia.e2ee.keys import KeyPairs
from echolia.e2ee.recovery import WORDS, phrase_of, recovery_keys
from tests.independent.files import raw, rows

CASES = rows("bip39_english")
OURS = [case for case in CASES if len(case["entropy"]) == 64]


def test_32_bytes_are_these_words_and_give_the_keys_of_the_specification() -> None:
    assert (len(OURS), len(CASES)) == (8, 24)
    for case in OURS:
        [entropy] = raw(case, "entropy")
        assert phrase_of(entropy) == case["mnemonic"]
        assert recovery_keys(case["mnemonic"]) == KeyPairs(
            derive(32, entropy, b"", b"echolia1/rec-sgn"), derive(32, entropy, b"", b"echolia1/rec-box")
        )


def test_shorter_phrases_are_none_of_ours() -> None:
    for case in CASES:
        if case in OURS:
            continue
        assert len(case["mnemonic"].split()) < WORDS
        with pytest.raises(EcholiaError, match="phrase_invalid"):
            recovery_keys(case["mnemonic"])
        with pytest.raises(ValueError, match="32 bytes"):
            phrase_of(*raw(case, "entropy"))


def test_a_word_that_does_not_fit_the_checksum_is_refused() -> None:
    for case in OURS:
        *words, last = case["mnemonic"].split()
        for other in ("ability", "zone"):
            assert other != last
            with pytest.raises(EcholiaError, match="phrase_invalid"):
                recovery_keys(" ".join([*words, other]))
