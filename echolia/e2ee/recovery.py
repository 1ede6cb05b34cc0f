"""The recovery phrase: 24 BIP-39 words that are, in the end, the account (`spec/keys.md#recovery-phrase`)."""

from __future__ import annotations

from mnemonic import Mnemonic

from echolia.core.errors import EcholiaError
from echolia.e2ee.derive import derive
from echolia.e2ee.keys import SECRET_BYTES, KeyPairs
from echolia.e2ee.secret import Secret

WORDS = 24


def phrase_of(entropy: bytes) -> str:
    """The 24 words of 32 bytes of entropy."""
    if len(entropy) != SECRET_BYTES:
        raise ValueError("a phrase is made of 32 bytes")
    return Mnemonic("english").to_mnemonic(entropy)


def recovery_keys(phrase: str) -> KeyPairs:
    """The keys that a phrase stands for; case and spacing do not matter. Raises `phrase_invalid`."""
    words, list_ = " ".join(phrase.lower().split()), Mnemonic("english")
    if len(words.split()) != WORDS or not list_.check(words):
        raise EcholiaError("phrase_invalid")
    entropy = Secret(list_.to_entropy(words))
    return KeyPairs(
        sign_secret=derive(SECRET_BYTES, entropy, b"", b"echolia1/rec-sgn"),
        box_secret=derive(SECRET_BYTES, entropy, b"", b"echolia1/rec-box"),
    )
