"""Vectors of key boxes and of the recovery phrase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mnemonic import Mnemonic

from tests.vectors import reference as ref
from tests.vectors.cases.envelopes import KEYS, secrets
from tests.vectors.reference import Identity
from tests.vectors.world import LAPTOP, PHONE, RECOVERY, Vector, flipped, seed

ENTROPIES = {
    "zeros": "00" * 32,
    "sevens": "7f" * 32,
    "eights": "80" * 32,
    "ones": "ff" * 32,
    "random-1": "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
    "random-2": "9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863",
    "random-3": "066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad",
    "random-4": "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
}
HAMSTER = (
    "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel "
    "tennis maple dilemma loan word shrug inflict delay length"
)
ART = "abandon " * 23 + "art"


def cases() -> Iterator[Vector]:
    """Boxes that open, boxes that must not, phrases that are keys and phrases that are none."""
    yield from _boxes()
    yield from _phrases()


def _given(box: bytes, keys: Identity = PHONE) -> dict[str, Any]:
    return {"sign_seed": keys.sign_seed, "box_secret": keys.box_secret, "box": box}


def _sealed(plaintext: bytes, keys: Identity = PHONE) -> bytes:
    return ref.sealed_box(plaintext, keys.public["box"], seed("ephemeral"))


def _boxes() -> Iterator[Vector]:
    note = "Account secrets, sealed to a device."
    one, two = ref.cbor({"v": 1, **secrets((1,))}), ref.cbor({"v": 1, **secrets()})
    yield Vector(
        "key-box", "one-generation", note, _given(_sealed(one)), {"secrets": secrets((1,)), "plaintext": one}
    )
    yield Vector(
        "key-box", "two-generations", note, _given(_sealed(two)), {"secrets": secrets(), "plaintext": two}
    )
    recovery = _given(_sealed(one, RECOVERY), RECOVERY)
    note = "Account secrets, sealed to the phrase."
    yield Vector("key-box", "recovery", note, recovery, {"secrets": secrets((1,)), "plaintext": one})
    box = _sealed(one)
    outside = {
        "other-recipient": ("It was sealed to another device.", _given(box, LAPTOP)),
        "flipped": ("A bit of the ciphertext.", _given(flipped(box))),
        "ephemeral-flipped": ("A bit of the ephemeral key.", _given(flipped(box, 0))),
        "cut": ("Its last byte is missing.", _given(box[:-1])),
        "too-short": ("Shorter than any box.", _given(box[:47])),
        "empty": ("Nothing.", _given(b"")),
        "nothing-inside": ("A box of no bytes.", _given(_sealed(b""))),
    }
    for case, (note, given) in outside.items():
        yield Vector("key-box", f"refused-{case}", note, given, {"error": "key_box_invalid"})
    for case, (note, plaintext) in _not_secrets().items():
        error = "unsupported_version" if case in {"version-0", "version-2"} else "key_box_invalid"
        yield Vector("key-box", f"refused-{case}", note, _given(_sealed(plaintext)), {"error": error})


def _not_secrets() -> dict[str, tuple[str, bytes]]:
    good = {"v": 1, **secrets((1,))}
    without = {name: each for name, each in good.items() if name != "index"}
    changed = {
        "version-2": ("A later version.", good | {"v": 2}),
        "version-0": ("Version 0 never was.", good | {"v": 0}),
        "version-true": ("True is not 1.", good | {"v": True}),
        "key-missing": ("No index key.", without),
        "key-additional": ("A key nobody knows.", good | {"more": 1}),
        "account-short": ("An account id of 15 bytes.", good | {"account": bytes(15)}),
        "index-long": ("An index key of 33 bytes.", good | {"index": bytes(33)}),
        "generation-unknown": ("No key of the current generation.", good | {"generation": 2}),
        "generation-true": ("True is not a generation.", good | {"generation": True}),
        "generation-0": ("Generations start at 1.", good | {"generation": 0, "keys": {0: KEYS[1]}}),
        "account-key-short": ("An account key of 31 bytes.", good | {"keys": {1: bytes(31)}}),
        "account-key-text": ("An account key that is text.", good | {"keys": {1: "k" * 32}}),
        "keys-list": ("Keys without generations.", good | {"keys": [KEYS[1]]}),
        "keys-empty": ("No keys at all.", good | {"keys": {}}),
    }
    found = {case: (note, ref.cbor(fields)) for case, (note, fields) in changed.items()}
    plain = ref.cbor(good)
    indefinite = b"\xbf" + plain[1:] + b"\xff"
    return found | {
        "not-deterministic": ("A map without its length.", indefinite),
        "additional-byte": ("A byte after the map.", plain + b"\0"),
        "list-inside": ("A list, not a map.", ref.cbor([1, 2])),
        "number-inside": ("A number, not a map.", ref.cbor(7)),
    }


def _phrases() -> Iterator[Vector]:
    for case, entropy in ENTROPIES.items():
        raw = bytes.fromhex(entropy)
        keys = Identity(ref.b(32, raw, b"", b"echolia1/rec-sgn"), ref.b(32, raw, b"", b"echolia1/rec-box"))
        phrase = Mnemonic("english").to_mnemonic(raw)
        expect = {"entropy": raw, "sign_seed": keys.sign_seed, "box_secret": keys.box_secret, **keys.public}
        yield Vector("recovery", case, "One of BIP-39's own test phrases.", {"phrase": phrase}, expect)
        if case == "zeros":
            loose = {"phrase": "  " + phrase.upper().replace(" ", "\n  ") + " "}
            yield Vector("recovery", "loose", "Case and spacing do not matter.", loose, expect)
    words = HAMSTER.split()
    refused = {
        "checksum": ("abandon " * 24, "The last word does not check."),
        "swapped": (" ".join([words[1], words[0], *words[2:]]), "Two words changed places."),
        "not-a-word": (HAMSTER.replace("hamster", "hamsters"), "A word that is not in the list."),
        "abbreviated": (HAMSTER.replace("diagram", "diag"), "Four letters would do, but are not the word."),
        "23-words": (" ".join(words[:23]), "A word is missing."),
        "25-words": (HAMSTER + " length", "A word too many."),
        "12-words": ("abandon " * 11 + "about", "A BIP-39 phrase, but of 16 bytes."),
        "empty": ("", "Nothing."),
        "other-list": ("ábaco " * 23 + "ábaco", "Words of the Spanish list."),
        "joined": (ART.replace(" ", "-"), "Hyphens join words to one."),
    }
    for case, (phrase, why) in refused.items():
        yield Vector("recovery", f"refused-{case}", why, {"phrase": phrase}, {"error": "phrase_invalid"})
