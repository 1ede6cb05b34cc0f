"""The recovery phrase: 24 words give the same keys for ever, and nothing else gives any."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mnemonic import Mnemonic

from echolia.core.errors import EcholiaError
from echolia.e2ee.recovery import WORDS, phrase_of, recovery_keys
from tests.vectors.world import ENTROPY, RECOVERY

PHRASE = phrase_of(ENTROPY)
WORD_LIST = Mnemonic("english").wordlist
# From BIP-39's own test vectors.
OFFICIAL = {
    "7f" * 32: "legal winner thank year wave sausage worth useful " * 2
    + "legal winner thank year wave sausage worth title",
    "ff" * 32: "zoo " * 23 + "vote",
    "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c": (
        "hamster diagram private dutch cause delay private meat slide toddler razor book "
        "happy fancy gospel tennis maple dilemma loan word shrug inflict delay length"
    ),
}


def refusal(phrase: str) -> str | None:
    """All that a refusal says, or None; any other exception is the test's failure."""
    try:
        recovery_keys(phrase)
    except EcholiaError as error:
        return str(error)
    return None


@pytest.mark.parametrize("entropy", OFFICIAL)
def test_phrases_are_those_of_bip_39(entropy: str) -> None:
    assert phrase_of(bytes.fromhex(entropy)) == OFFICIAL[entropy]


def test_a_phrase_gives_the_keys_of_the_specification() -> None:
    keys = recovery_keys(PHRASE)
    assert (keys.sign_secret, keys.box_secret) == (RECOVERY.sign_seed, RECOVERY.box_secret)
    assert len(PHRASE.split()) == WORDS


@settings(max_examples=20)
@given(st.binary(min_size=32, max_size=32))
def test_every_entropy_has_a_phrase_of_its_own(entropy: bytes) -> None:
    assert recovery_keys(phrase_of(entropy)).sign_secret != recovery_keys(PHRASE).sign_secret


@pytest.mark.parametrize(
    "loose", [PHRASE.upper(), f"\n {PHRASE}\t", PHRASE.replace(" ", "  "), PHRASE.title()]
)
def test_case_and_spacing_do_not_matter(loose: str) -> None:
    assert recovery_keys(loose) == recovery_keys(PHRASE)


@settings(max_examples=60)
@given(st.text("abcé 1-\0", max_size=60))
@example("")
@example(" ".join(["ａｂａｎｄｏｎ"] * 24))
@example("´ " + PHRASE)
@example("abandon " * 100_000)
def test_any_other_text_is_refused(text: str) -> None:
    assert refusal(text) == "phrase_invalid"


@settings(max_examples=40)
@given(st.integers(0, WORDS - 1), st.sampled_from(WORD_LIST))
def test_a_wrong_word_is_mostly_noticed_and_never_the_same_keys(at: int, word: str) -> None:
    words = PHRASE.split()
    if words[at] == word:
        return
    words[at] = word
    mistyped = " ".join(words)
    # The checksum has eight bits: one wrong word in 256 passes, and is then another account's.
    assert refusal(mistyped) == "phrase_invalid" or recovery_keys(mistyped) != recovery_keys(PHRASE)


def test_other_lengths_of_bip_39_are_refused() -> None:
    for length in (16, 20, 24, 28):
        assert refusal(Mnemonic("english").to_mnemonic(bytes(length))) == "phrase_invalid"


def test_an_entropy_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        phrase_of(bytes(16))


def test_the_phrase_is_not_shown() -> None:
    with pytest.raises(EcholiaError) as refused:
        recovery_keys("my secret words")
    assert "secret" not in str(refused.value)
