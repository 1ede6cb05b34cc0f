"""The sign-up puzzle: absent in quiet times, harder under load, solved once, in time, by us alone."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from echolia.auth.service.proof_of_work import Puzzles
from echolia.core.errors import EcholiaError
from echolia.web.context import Refusal
from tests.support.accounts import Account
from tests.support.server import START_S, Clock, served

BITS = 6


def solve(challenge: str, bits: int) -> str:
    """A nonce for the challenge: the first that there is."""
    for nonce in map(str, count()):
        if int.from_bytes(sha256(f"{challenge}:{nonce}".encode()).digest(), "big") >> (256 - bits) == 0:
            return nonce
    raise AssertionError


@pytest.fixture
def clock() -> Clock:
    """The puzzles' time."""
    return Clock(START_S)


def puzzles(clock: Clock, free: int = 0, least_bits: int = BITS) -> Puzzles:
    """Puzzles that are asked for from the sign-up number `free` + 1 on."""
    return Puzzles(free, least_bits, lambda: int(clock() * 1000))


def asked(some: Puzzles) -> dict[str, Any]:
    """What a sign-up without a proof is told."""
    with pytest.raises(Refusal) as caught:
        some.charge(None, "")
    assert caught.value.code == "proof_of_work_required"
    return caught.value.members


def refused(some: Puzzles, challenge: str, nonce: str) -> bool:
    """Whether this proof is refused."""
    with pytest.raises(EcholiaError) as caught:
        some.charge(challenge, nonce)
    return caught.value.code == "proof_of_work_invalid"


def test_a_solution_is_good_once(clock: Clock) -> None:
    some = puzzles(clock)
    told = asked(some)
    nonce = solve(told["challenge"], told["bits"])
    some.charge(told["challenge"], nonce)
    assert refused(some, told["challenge"], nonce)


def test_a_wrong_nonce_is_refused_and_spends_nothing(clock: Clock) -> None:
    some = puzzles(clock)
    told = asked(some)
    good = solve(told["challenge"], told["bits"])
    wrong = next(str(n) for n in count() if str(n) != good and not solves(told["challenge"], str(n)))
    assert refused(some, told["challenge"], wrong)
    some.charge(told["challenge"], good)


def solves(challenge: str, nonce: str) -> bool:
    """Whether it has the zero bits."""
    return int.from_bytes(sha256(f"{challenge}:{nonce}".encode()).digest(), "big") >> (256 - BITS) == 0


def test_a_challenge_lives_ten_minutes(clock: Clock) -> None:
    some = puzzles(clock)
    told = asked(some)
    clock.pass_s(600)
    assert refused(some, told["challenge"], solve(told["challenge"], BITS))


def test_only_our_challenges_count(clock: Clock) -> None:
    other = asked(puzzles(clock))["challenge"]
    some = puzzles(clock)
    assert refused(some, other, solve(other, BITS))
    own = asked(some)["challenge"]
    easier = own[:11] + ("A" if own[11] != "A" else "B") + own[12:]
    assert refused(some, easier, solve(easier, BITS))
    for junk in ("", "A", "\u00e9", own + "A"):
        assert refused(some, junk, "0")


def test_quiet_times_are_free_and_load_makes_it_harder(clock: Clock) -> None:
    some = puzzles(clock, free=2)
    for _ in range(2):
        some.charge(None, "")
    seen = []
    for _ in range(8):
        told = asked(some)
        seen.append(told["bits"])
        some.charge(told["challenge"], solve(told["challenge"], told["bits"]))
    assert seen == [BITS] * 2 + [BITS + 1] * 4 + [BITS + 2] * 2
    clock.pass_s(60)
    some.charge(None, "")


async def test_over_http(tmp_path: Path) -> None:
    async with served(tmp_path / "data", register_free_per_minute=1, proof_of_work_bits=BITS) as ask:
        await Account("first").register(ask)
        body = Account("second").registration()
        told = await ask("POST", "/auth/register", body)
        assert (told.status, told.code) == (428, "proof_of_work_required")
        puzzle = told.json()
        assert puzzle["bits"] == BITS
        wrong = {"challenge": puzzle["challenge"], "nonce": "no"}
        answer = await ask("POST", "/auth/register", {**body, "proof_of_work": wrong})
        assert (answer.status, answer.code) == (403, "proof_of_work_invalid")
        proof = {"challenge": puzzle["challenge"], "nonce": solve(puzzle["challenge"], BITS)}
        assert (await ask("POST", "/auth/register", {**body, "proof_of_work": proof})).status == 201
        third = {**Account("third").registration(), "proof_of_work": proof}
        assert (await ask("POST", "/auth/register", third)).code == "proof_of_work_invalid"
