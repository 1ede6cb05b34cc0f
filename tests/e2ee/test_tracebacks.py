"""A crash reporter collects local variables, too: none of the keys is in what it would send.

What a person typed (words, code, digits) and what they wrote is in the variables of whatever takes
it; `spec/threat-model.md` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from echolia.core import canonical, runs
from echolia.e2ee import sealing
from echolia.e2ee.keys import AccountSecrets, KeyPairs, open_key_box, seal_key_box
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal
from echolia.e2ee.sealing import Draft, ObjectKey
from echolia.e2ee.secret import Secret
from tests.support.crash_report import leaked, report
from tests.vectors import reference as ref
from tests.vectors.world import ACCOUNT, ENTRIES, LAPTOP, NOTE, OTHER_NOTE, PHONE, seed

DICE = Random(5).randbytes
KEYS = KeyPairs(PHONE.sign_seed, PHONE.box_secret)
SECRETS = AccountSecrets(ACCOUNT, 1, {1: seed("key 1")}, seed("index key"))
OBJECT_KEY = sealing.new_object_key(SECRETS, NOTE, DICE)
CODE = Code("https://sync.example", DICE(16), DICE(32))
OWN, OTHER = Ephemeral.generate(DICE), Ephemeral.generate(DICE)
REVEAL = Reveal.make(KEYS.sign_public, KEYS.box_public, OWN.public, DICE)
MET = Agreement.reach(OWN, OTHER.public, CODE.mailbox, ACCOUNT, REVEAL, OWN.public, bytes(32))
DRAFT = Draft(1, runs.STATE, NOTE, ENTRIES, {}, b"a note")
SEALED = runs.read_change(sealing.seal(SECRETS, LAPTOP.id, DRAFT, OBJECT_KEY, DICE), 1)
NONCE = SEALED.body[72:96]
ALL = [
    bytes(each)
    for each in (
        KEYS.sign_secret, KEYS.box_secret, *SECRETS.keys.values(), SECRETS.index, OBJECT_KEY.key, CODE.secret,
        CODE.token(), OWN.secret, OTHER.secret, MET.dh, MET.mac(),
        ref.b(64, OBJECT_KEY.key, NONCE, b"echolia1/subkey")[:32],
        ref.b(32, MET.dh, MET.transcript, b"echolia1/pairkey"),
        ref.b(32, CODE.secret, b"owner\0", b"echolia1/pairmsg"),
    )
]  # fmt: skip


def no_dice(length: int) -> bytes:
    """Randomness that fails, as no caller expects."""
    raise OSError(f"no {length} bytes")


def boxed(**other: object) -> bytes:
    """A key box whose contents are a little different."""
    fields = {**canonical.decode(SECRETS.encode()), **other}
    return ref.sealed_box(canonical.encode(fields), KEYS.box_public, seed("ephemeral"))


def flipped(body: bytes, at: int) -> runs.Change:
    """The sealed change with a bit of its body turned over."""
    return SEALED._replace(body=body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :])


def opened(change: runs.Change) -> object:
    """The change, opened."""
    return sealing.open_change(SECRETS, LAPTOP.id, change)


FAILURES: dict[str, Callable[[], object]] = {
    "a wrapped key altered": lambda: opened(flipped(SEALED.body, 30)),
    "a commitment altered": lambda: opened(flipped(SEALED.body, 100)),
    "a ciphertext altered": lambda: opened(flipped(SEALED.body, 140)),
    "a generation unknown": lambda: opened(SEALED._replace(generation=2)),
    "another object's key": lambda: sealing.unwrap(SECRETS, OTHER_NOTE, 1, OBJECT_KEY.wrapped),
    "a body too large": lambda: sealing.seal(
        SECRETS, LAPTOP.id, replace(DRAFT, plaintext=bytes(2 << 20)), OBJECT_KEY, DICE
    ),
    "no randomness for a body": lambda: sealing.seal(SECRETS, LAPTOP.id, DRAFT, OBJECT_KEY, no_dice),
    "no randomness for a key": lambda: sealing.rewrap(
        replace(SECRETS, keys={**SECRETS.keys, 2: seed("key 1")}, generation=2), NOTE, OBJECT_KEY, no_dice
    ),
    "a box for another": lambda: open_key_box(
        seal_key_box(SECRETS, KEYS.box_public), KeyPairs(LAPTOP.sign_seed, LAPTOP.box_secret)
    ),
    "a box of a later version": lambda: open_key_box(boxed(v=2), KEYS),
    "a box with more in it": lambda: open_key_box(boxed(more=1), KEYS),
    "a box with a short key": lambda: open_key_box(boxed(index=bytes(31)), KEYS),
    "a message altered": lambda: CODE.open("owner", 0, CODE.seal("owner", 0, {"a": 1}, DICE) + b"\0"),
    "no randomness for a message": lambda: CODE.seal("owner", 0, {"mac": MET.mac()}, no_dice),
    "a key of small order": lambda: Agreement.reach(
        OWN, bytes(32), CODE.mailbox, ACCOUNT, REVEAL, OWN.public, bytes(32)
    ),
    "secrets altered": lambda: MET.open_secrets(MET.seal_secrets(SECRETS, b"entry", DICE)[:-1], b"entry"),
    "secrets for another entry": lambda: MET.open_secrets(
        MET.seal_secrets(SECRETS, b"entry", DICE), b"another"
    ),
    "no randomness for secrets": lambda: MET.seal_secrets(SECRETS, b"entry", no_dice),
    "nothing can be sealed to it": lambda: seal_key_box(SECRETS, bytes(32)),
    "an object key too long": lambda: sealing.seal(
        SECRETS, LAPTOP.id, DRAFT, ObjectKey(1, OBJECT_KEY.wrapped, OBJECT_KEY.key + bytes(64)), DICE
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_key_is_in_a_crash_report(failure: str) -> None:
    with pytest.raises(Exception) as met:  # noqa: PT011  # whatever it is: it is the report that counts
        FAILURES[failure]()
    text = report(met.value)
    assert "echolia" in text and " = " in text, "it shows no variables"
    assert leaked(text, ALL) == []


def test_a_variable_that_shows_itself_is_noticed() -> None:
    key = bytes(ALL[2])
    for shown in (repr(key), key.hex(), f"b64: {ref.b(1, b'k', b'', b'x').hex()} {list(key)}"):
        assert leaked(shown, ALL) == [key]
    assert leaked(repr({"keys": {1: Secret(key)}}) + str(Secret(key)) + f"{Secret(key)}", ALL) == []
