"""Wycheproof's X25519, through a pairing's agreement and the keys that a device log takes.

Its "acceptable" cases are public keys that an implementation may refuse. Here a shared secret of zeros is
refused, because whoever sends such a key contributes nothing and everybody knows the secret. All others are
taken, on the twist or not canonically encoded as they may be: the result is what RFC 7748 says it is, and it
depends on the own secret.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from echolia.core.box_keys import can_be_sealed_to
from echolia.core.errors import EcholiaError
from echolia.e2ee.keys import AccountSecrets, KeyPairs, seal_key_box
from echolia.e2ee.pairing import Agreement, Ephemeral, Reveal
from tests.independent.files import raw, rows

CASES = rows("x25519")
SECRETS = AccountSecrets(bytes(16), 1, {1: bytes(32)}, bytes(32))
REVEAL = Reveal(bytes(32), bytes(32), bytes(32), b"")
BASE_POINT = b"\x09" + bytes(31)


def shared(secret: bytes, public: bytes) -> bytes | str:
    """What an agreement of these keys rests on, or the code by which it is refused."""
    own = Ephemeral(secret)
    try:
        return Agreement.reach(own, public, bytes(16), bytes(16), REVEAL, own.public, bytes(32)).dh
    except EcholiaError as error:
        return error.code


def is_zero(case: Mapping[str, Any]) -> bool:
    """Whether the shared secret would be zeros."""
    return "ZeroSharedSecret" in case["flags"]


def test_every_secret_is_that_of_rfc_7748_and_none_is_zero() -> None:
    wrong = []
    for case in CASES:
        secret, public, expected = raw(case, "private", "public", "shared")
        if shared(secret, public) != ("pairing_failed" if is_zero(case) else expected):
            wrong.append(case["tcId"])
    assert wrong == []


def test_public_keys_come_from_the_base_point() -> None:
    for case in CASES:
        [secret] = raw(case, "private")
        assert (
            KeyPairs(bytes(32), secret).box_public == Ephemeral(secret).public == shared(secret, BASE_POINT)
        )


def test_a_key_is_of_small_order_exactly_if_its_secrets_are_zeros() -> None:
    wrong = [case["tcId"] for case in CASES if can_be_sealed_to(*raw(case, "public")) == is_zero(case)]
    assert wrong == []


def test_nothing_is_sealed_to_a_key_of_small_order() -> None:
    low = {bytes.fromhex(case["public"]) for case in CASES if is_zero(case)}
    assert len(low) == 14
    for public in low:
        with pytest.raises(EcholiaError, match="key_box_invalid"):
            seal_key_box(SECRETS, public)


def test_all_cases_are_here() -> None:
    assert Counter(case["result"] for case in CASES) == {"valid": 264, "acceptable": 254}
    assert sum(map(is_zero, CASES)) == 31
    assert all(case["result"] == "acceptable" for case in CASES if is_zero(case))
