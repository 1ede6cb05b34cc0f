"""Which signatures hold: Wycheproof's cases and those on which implementations are known to differ."""

from __future__ import annotations

from collections import Counter

import pytest

from echolia.core.signing import verify
from tests.independent.files import raw, rows

WYCHEPROOF = rows("ed25519")
SPECCHECK = rows("ed25519_speccheck")
# What each of these cases is, and what spec/README.md#conventions says of it.
DIFFERING = {
    0: ("public key and R of small order, S = 0: one signature for every message", False),
    1: ("public key of small order: it signs without a secret", False),
    2: ("R of small order", False),
    3: ("public key and R with a part of small order, which cancel: the plain equation holds", True),
    4: ("the equation holds only times the cofactor", False),
    5: ("the equation holds only times the cofactor, reduced before", False),
    6: ("S beyond the group's order: a second signature by whoever saw the first", False),
    7: ("S far beyond the group's order", False),
    8: ("R not canonical, reduced before it is hashed", False),
    9: ("R not canonical, hashed as it is", False),
    10: ("public key not canonical, reduced before it is hashed", False),
    11: ("public key not canonical, hashed as it is", False),
}


def test_wycheproof_s_signatures_hold_or_do_not() -> None:
    wrong = []
    for case in WYCHEPROOF:
        public, message, signature = raw(case, "pk", "msg", "sig")
        if verify(public, message, signature) != (case["result"] == "valid"):
            wrong.append(case["tcId"])
    assert wrong == []


def test_all_cases_are_here_and_none_leaves_a_choice() -> None:
    assert Counter(case["result"] for case in WYCHEPROOF) == {"valid": 88, "invalid": 63}
    assert [case["case"] for case in SPECCHECK] == list(DIFFERING)


@pytest.mark.parametrize("case", SPECCHECK, ids=lambda case: str(case["case"]))
def test_where_implementations_differ_the_specification_decides(case: dict[str, str]) -> None:
    _, holds = DIFFERING[int(case["case"])]
    public, message, signature = raw(case, "pub_key", "message", "signature")
    assert verify(public, message, signature) is holds
