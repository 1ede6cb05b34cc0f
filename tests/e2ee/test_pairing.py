"""Pairing's cryptography: both sides agree, and whatever is changed on the way is noticed."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.e2ee.keys import AccountSecrets
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal

DICE = Random(7).randbytes
CODE = Code("https://sync.example.org", DICE(16), DICE(32))
SECRETS = AccountSecrets(DICE(16), 1, {1: DICE(32)}, DICE(32))
OWNER, GUEST = Ephemeral.generate(DICE), Ephemeral.generate(DICE)
REVEAL = Reveal.make(DICE(32), DICE(32), GUEST.public, DICE)
LOG_HEAD = DICE(32)


def agreed(own: Ephemeral, other: Any, **changed: Any) -> Agreement:
    """What one side reaches."""
    fields = {
        "mailbox": CODE.mailbox,
        "account": SECRETS.account,
        "reveal": REVEAL,
        "owner_eph": OWNER.public,
    }
    return Agreement.reach(own, other, **{**fields, "log_head": LOG_HEAD, **changed})


def refused(work: Any, *args: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        work(*args)
    return error.value.code


def test_a_code_says_the_same_after_its_journey() -> None:
    text = CODE.encode()
    assert text.startswith("echolia:")
    assert Code.decode(text) == CODE
    assert Code.decode(f"  {text[:30]}\n {text[30:]}\n") == CODE
    assert CODE.secret.hex() not in repr(CODE)


@pytest.mark.parametrize(
    "text",
    [
        "", "echolia:", "echolia:!", CODE.encode()[:-1], CODE.encode()[8:], CODE.encode() + "A",
        "Echolia:" + CODE.encode()[8:],
        "echolia:" + "oA", "echolia:" + "A" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_code(text: str) -> None:
    assert refused(Code.decode, text) == "pairing_code_invalid"


def test_both_sides_agree() -> None:
    owner, guest = agreed(OWNER, GUEST.public), agreed(GUEST, OWNER.public)
    assert owner == guest
    assert len(owner.digits()) == 6
    assert owner.digits().isdigit()
    assert owner.mac() == guest.mac()
    assert len({owner.mac(), owner.dh, owner.transcript}) == 3


def test_digits_are_always_six() -> None:
    found = {agreed(OWNER, GUEST.public, log_head=bytes([n]) * 32).digits() for n in range(200)}
    assert {len(digits) for digits in found} == {6}
    assert any(digits.startswith("0") for digits in found)
    assert len(found) > 190


@pytest.mark.parametrize(
    "changed",
    [
        {"mailbox": bytes(16)},
        {"account": bytes(16)},
        {"owner_eph": bytes(32)},
        {"log_head": bytes(32)},
        {"reveal": Reveal.make(DICE(32), DICE(32), GUEST.public, DICE)},
    ],
)
def test_whatever_they_see_differently_changes_the_digits(changed: dict[str, Any]) -> None:
    assert agreed(OWNER, GUEST.public, **changed).digits() != agreed(GUEST, OWNER.public).digits()


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), b"", b"short", bytes(33), None, 7])
def test_keys_that_are_none(public: Any) -> None:
    assert refused(agreed, OWNER, public) == "pairing_failed"


def test_a_reveal_is_bound_by_its_commitment() -> None:
    assert Reveal.read(REVEAL.raw, REVEAL.commitment()) == REVEAL
    other = Reveal.make(REVEAL.sign, REVEAL.box, REVEAL.eph, DICE)
    assert refused(Reveal.read, other.raw, REVEAL.commitment()) == "pairing_failed"


@pytest.mark.parametrize(
    "fields",
    [
        {}, [], {"sign": bytes(32)},
        {"sign": bytes(31), "box": bytes(32), "eph": bytes(32), "nonce": bytes(16)},
        {"sign": bytes(32), "box": bytes(32), "eph": bytes(32), "nonce": bytes(16), "more": 1},
        {"sign": 1, "box": bytes(32), "eph": bytes(32), "nonce": bytes(16)},
    ],
)  # fmt: skip
def test_a_reveal_of_another_form(fields: Any) -> None:
    raw = canonical.encode(fields)
    commitment = Reveal(b"", b"", b"", raw).commitment()
    assert refused(Reveal.read, raw, commitment) == "pairing_failed"
    assert refused(Reveal.read, b"\xff", commitment) == "pairing_failed"
    assert refused(Reveal.read, None, commitment) == "pairing_failed"


def test_messages_open_in_their_place_only() -> None:
    sealed = CODE.seal("owner", 1, {"a": b"1"}, DICE)
    assert CODE.open("owner", 1, sealed) == {"a": b"1"}
    other_secret, other_mailbox = (
        Code(CODE.server, CODE.mailbox, bytes(32)),
        Code(CODE.server, bytes(16), CODE.secret),
    )
    assert refused(CODE.open, "owner", 2, sealed) == "pairing_failed"
    assert refused(CODE.open, "guest", 1, sealed) == "pairing_failed"
    assert refused(other_secret.open, "owner", 1, sealed) == "pairing_failed"
    assert refused(other_mailbox.open, "owner", 1, sealed) == "pairing_failed"
    for broken in (b"", sealed[:-1], sealed[:20], sealed[:30] + bytes((sealed[30] ^ 1,)) + sealed[31:]):
        assert refused(CODE.open, "owner", 1, broken) == "pairing_failed"


def test_the_secrets_open_for_this_guest_only() -> None:
    owner = agreed(OWNER, GUEST.public)
    sealed = owner.seal_secrets(SECRETS, b"entry", DICE)
    assert agreed(GUEST, OWNER.public).open_secrets(sealed, b"entry") == SECRETS
    assert refused(owner.open_secrets, sealed, b"another entry") == "pairing_failed"
    assert (
        refused(agreed(Ephemeral.generate(DICE), OWNER.public).open_secrets, sealed, b"entry")
        == "pairing_failed"
    )
    for broken in (b"", None, sealed[:-1]):
        assert refused(owner.open_secrets, broken, b"entry") == "pairing_failed"


def test_nothing_secret_is_shown() -> None:
    for thing in (OWNER, agreed(OWNER, GUEST.public)):
        for secret in (OWNER.secret, agreed(OWNER, GUEST.public).dh):
            assert repr(secret)[2:-1] not in repr(thing)
