"""A machine in the middle of a pairing knows the code and guesses the digits: one chance in a million."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from math import sqrt
from random import Random
from typing import Any

import pytest

from echolia.client import Device, EcholiaError, ledger
from echolia.core import canonical
from echolia.e2ee.derive import derive
from echolia.e2ee.keys import KeyPairs
from echolia.e2ee.pairing import DIGITS, Agreement, Code, Ephemeral, Reveal
from tests.client.pairing_between import Middle
from tests.support.devices import World, environment

PAIRINGS = 12
FOUND = 5


async def failed(work: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        await work
    return error.value.code


def between(world: World, laptop: Device, code: str, seed: int) -> Middle:
    """Somebody between the laptop and whoever joins."""
    database = laptop._replica.database
    log = ledger.device_log(database)
    entries = [[one.entry, dict(one.signatures)] for one in ledger.device_entries(database)]
    around = environment(f"middle {seed}", world.clock)
    return Middle(
        Code.decode(code), world.transport(f"middle {seed}"), around, log.account, entries, log.head
    )


async def meet_the_phone(world: World, middle: Middle, seed: int) -> tuple[Any, str]:
    """The phone takes the code, and shows the digits of whom it met."""
    name = f"phone {seed}"
    around = {**world.around(name), "transport": middle}
    joining = await Device.join(world.folder / name, middle.code.encode(), **around).__aenter__()
    digits = await joining.digits()
    assert digits == middle.phones_digits()
    return joining, digits


async def meet_the_laptop(middle: Middle, pairing: Any, reveal: Reveal) -> tuple[bytes, Any]:
    """Commit to a reveal towards the laptop; gives the laptop's key, and what waits for the reveal."""
    waiting = asyncio.create_task(pairing.guest())
    await middle.mailbox.put(0, {"commit": reveal.commitment()})
    eph = (await middle.mailbox.take(0))["eph"]
    return eph, waiting


@pytest.mark.parametrize("first", ["phone", "laptop"])
async def test_the_digits_differ_whomever_it_meets_first(world: World, first: str) -> None:
    laptop = await world.first()
    alike = 0
    for seed in range(PAIRINGS):
        async with laptop.pair() as pairing:
            middle = between(world, laptop, pairing.code, seed)
            reveal = middle.own_reveal(bytes([seed]) * 16)
            if first == "phone":
                joining, shown = await meet_the_phone(world, middle, seed)
                eph, waiting = await meet_the_laptop(middle, pairing, reveal)
            else:
                eph, waiting = await meet_the_laptop(middle, pairing, reveal)
                joining, shown = await meet_the_phone(world, middle, seed)
            await middle.mailbox.put(1, {"reveal": reveal.raw})
            await waiting
            alike += middle.laptops(reveal, eph).digits() == shown
            # The person types what the phone shows, three times: the laptop's digits stay what they are.
            for _ in range(3):
                assert await failed(pairing.confirm(shown)) == "pairing_check_failed"
            assert await failed(pairing.confirm(middle.laptops(reveal, eph).digits())) == "pairing_failed"
            assert await failed(joining.finish()) == "pairing_expired"
            await joining.__aexit__(None, None, None)
    assert alike == 0
    assert len(await laptop.devices()) == 1
    answers = world.transport("middle 0").asked
    assert answers  # it did speak to the server, and had the laptop's ear
    for seed in range(PAIRINGS):
        assert await failed(Device.open(world.folder / f"phone {seed}")) == "home_missing"


async def test_a_reveal_that_was_made_to_fit_is_not_the_one_it_committed_to(world: World) -> None:
    """It tries until the laptop would show the phone's last five digits; six take ten times as long."""
    world.ask.answer_s = 600.0  # the laptop waits while a hundred thousand are tried
    laptop = await world.first()
    async with laptop.pair() as pairing:
        middle = between(world, laptop, pairing.code, 0)
        joining, shown = await meet_the_phone(world, middle, 0)
        committed = middle.own_reveal(bytes(16))
        eph, waiting = await meet_the_laptop(middle, pairing, committed)
        fitting = await asyncio.to_thread(_made_to_fit, middle, committed, eph, shown)
        # Had it been free to choose now, the person would have typed digits that fit:
        assert middle.laptops(fitting, eph).digits()[-FOUND:] == shown[-FOUND:]
        await middle.mailbox.put(1, {"reveal": fitting.raw})
        assert await failed(waiting) == "pairing_failed"
        assert await failed(pairing.confirm(shown)) == "pairing_failed"
        await joining.__aexit__(None, None, None)
    assert len(await laptop.devices()) == 1


def _made_to_fit(middle: Middle, committed: Reveal, eph: bytes, shown: str) -> Reveal:
    """The first reveal, by its nonce, with which the laptop would show the same last digits."""
    dh, log = middle.laptops(committed, eph).dh, middle.log_head
    nonce_at = committed.raw.index(bytes(16))
    before, after = committed.raw[:nonce_at], committed.raw[nonce_at + 16 :]
    start = sha256(middle.code.mailbox + middle.account + before)
    for n in range(30 * 10**FOUND):
        nonce = n.to_bytes(16, "big")
        attempt = start.copy()
        attempt.update(nonce + after + eph + log)
        sas = derive(32, dh, attempt.digest(), b"echolia1/pairsas")
        if int.from_bytes(sas[:8], "big") % 10**FOUND == int(shown[-FOUND:]):
            return middle.own_reveal(nonce)
    raise AssertionError("not in three million tries")


# --- no relation does better than chance ---


class Pair:
    """The two honest sides of one pairing, and dice for who sits between."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed).randbytes
        self.mailbox, self.account, self.head = self.dice(16), self.dice(16), self.dice(32)
        self.laptop, self.phone = Ephemeral.generate(self.dice), Ephemeral.generate(self.dice)
        keys = KeyPairs(self.dice(32), self.dice(32))
        self.reveal = Reveal.make(keys.sign_public, keys.box_public, self.phone.public, self.dice)

    def at_phone(self, eph: bytes, **changed: bytes) -> str:
        """What the phone shows if it was given this key as the laptop's."""
        return self._reach(self.phone, eph, self.reveal, eph, **changed).digits()

    def at_laptop(self, reveal: Reveal) -> str:
        """What the laptop expects if it was given this reveal."""
        return self._reach(self.laptop, reveal.eph, reveal, self.laptop.public).digits()

    def revealed(self, eph: bytes, nonce: bytes | None = None) -> Reveal:
        """A reveal of somebody else's keys."""
        sign, box, nonce = self.dice(32), self.dice(32), nonce or self.dice(16)
        return Reveal.make(sign, box, eph, lambda _: nonce)

    def _reach(
        self,
        own: Ephemeral,
        other: bytes,
        reveal: Reveal,
        owner_eph: bytes,
        account: bytes = b"",
        head: bytes = b"",
    ) -> Agreement:
        meeting = (self.mailbox, account or self.account, reveal, owner_eph, head or self.head)
        return Agreement.reach(own, other, *meeting)


def _keys_of_its_own(pair: Pair) -> tuple[str, str]:
    a, b = Ephemeral.generate(pair.dice), Ephemeral.generate(pair.dice)
    return pair.at_phone(a.public), pair.at_laptop(pair.revealed(b.public))


def _one_key_for_both(pair: Pair) -> tuple[str, str]:
    own = Ephemeral.generate(pair.dice)
    return pair.at_phone(own.public), pair.at_laptop(pair.revealed(own.public))


def _the_phones_reveal_but_its_key(pair: Pair) -> tuple[str, str]:
    own, was = Ephemeral.generate(pair.dice), pair.reveal
    nonce = canonical.decode(was.raw)["nonce"]
    return pair.at_phone(own.public), pair.at_laptop(
        Reveal.make(was.sign, was.box, own.public, lambda _: nonce)
    )


def _the_phones_reveal_whole(pair: Pair) -> tuple[str, str]:
    own = Ephemeral.generate(pair.dice)
    return pair.at_phone(own.public), pair.at_laptop(pair.reveal)


def _the_laptops_key_for_the_phone(pair: Pair) -> tuple[str, str]:
    own = Ephemeral.generate(pair.dice)
    return pair.at_phone(pair.laptop.public), pair.at_laptop(pair.revealed(own.public))


def _each_its_own_key_back(pair: Pair) -> tuple[str, str]:
    return pair.at_phone(pair.phone.public), pair.at_laptop(pair.revealed(pair.laptop.public))


def _another_log(pair: Pair) -> tuple[str, str]:
    return pair.at_phone(pair.laptop.public, head=pair.dice(32)), pair.at_laptop(pair.reveal)


def _another_account(pair: Pair) -> tuple[str, str]:
    return pair.at_phone(pair.laptop.public, account=pair.dice(16)), pair.at_laptop(pair.reveal)


STRATEGIES: list[Callable[[Pair], tuple[str, str]]] = [
    _keys_of_its_own,
    _one_key_for_both,
    _the_phones_reveal_but_its_key,
    _the_phones_reveal_whole,
    _the_laptops_key_for_the_phone,
    _each_its_own_key_back,
    _another_log,
    _another_account,
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.__name__.strip("_"))
def test_no_relation_between_what_both_see_does_better(strategy: Callable[[Pair], tuple[str, str]]) -> None:
    """As often as chance has it do the last digits agree, one or two of them; six are never met."""
    tries = 1500
    shown = [strategy(Pair(seed)) for seed in range(tries)]
    for digits in (1, 2):
        chance = 10**-digits
        alike = sum(a[-digits:] == b[-digits:] for a, b in shown)
        assert abs(alike - tries * chance) < 5 * sqrt(tries * chance * (1 - chance)), (digits, alike)
    assert not [one for one in shown if one[0] == one[1]]


def test_honest_sides_always_agree() -> None:
    for seed in range(50):
        pair = Pair(seed)
        assert pair.at_phone(pair.laptop.public) == pair.at_laptop(pair.reveal)


def test_each_of_a_million_is_as_likely() -> None:
    """`u64 mod 1,000,000` favours none by more than one part in ten thousand billions; digits are spread."""
    most = -(-(2**64) // 10**DIGITS)  # how many of the 2^64 numbers give the likeliest digits
    assert most / 2**64 * 10**DIGITS - 1 < 1e-12
    found = Counter(Pair(seed).at_phone(Pair(seed).laptop.public)[0] for seed in range(1000))
    assert set(found) == set("0123456789")
    assert max(found.values()) < 150
