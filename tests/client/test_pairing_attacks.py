"""A server in the middle of a pairing, with and without the code, now and later: it gets nothing from it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from echolia.client import Device, EcholiaError
from echolia.core import canonical
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.e2ee.keys import AccountSecrets
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal, Side
from tests.support.devices import World
from tests.support.lying_mailbox import DICE, Deaf, Middle, Recorder, lied_to


async def failed(work: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        await work
    return error.value.code


async def in_the_middle(world: World, laptop: Device, middle: Callable[[Code], Middle]) -> Middle:
    """A pairing whose mailbox such a server serves; the person types what the new device shows."""
    async with laptop.pair() as pairing:
        server = middle(Code.decode(pairing.code))
        for name in ("laptop", "phone"):
            world.transport(name).meddle = server.meddle
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            guest = asyncio.create_task(pairing.guest())
            digits = await joining.digits()
            await guest
            assert digits == server.digits()[1]
            for _ in range(3):
                assert await failed(pairing.confirm(digits)) == "pairing_check_failed"
            # Too late for the right ones: the digits that it would need are three tries away from a million.
            assert await failed(pairing.confirm(server.digits()[0])) == "pairing_failed"
            assert await failed(joining.finish()) == "pairing_expired"
    for name in ("laptop", "phone"):
        world.transport(name).meddle = None
    return server


async def test_a_server_that_knows_the_code_sits_in_between(world: World) -> None:
    laptop = await world.first()
    server = await in_the_middle(world, laptop, Middle)
    expected, shown = server.digits()
    assert expected != shown
    assert len(await laptop.devices()) == 1
    assert await failed(Device.open(world.folder / "phone")) == "home_missing"
    assert {"secrets", "mac"} & {name for contents in server.seen.values() for name in contents} == set()


async def test_it_must_choose_its_keys_before_it_knows_what_to_match(world: World) -> None:
    """Each of its keys is fixed before it sees the key of the side that it would have to agree with."""
    laptop = await world.first()
    server = await in_the_middle(world, laptop, Middle)
    assert server.served == [("guest", 0), ("owner", 0), ("guest", 1)]


async def test_keys_that_it_chose_to_match_come_too_late(world: World) -> None:
    """It commits to some keys, sees the owner's, and reveals others, by which the digits would fit."""
    laptop = await world.first()

    class Grinding(Middle):
        def lies(self, place: tuple[Side, int]) -> dict[str, Any]:
            if place == ("guest", 1):
                self.to_owner = Ephemeral.generate(DICE)  # the one of a million that fits
            return super().lies(place)

    async with laptop.pair() as pairing:
        server = Grinding(Code.decode(pairing.code))
        for name in ("laptop", "phone"):
            world.transport(name).meddle = server.meddle
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            guest = asyncio.create_task(pairing.guest())
            await joining.digits()
            assert await failed(guest) == "pairing_failed"
            assert await failed(pairing.confirm("000000")) == "pairing_failed"
    assert len(await laptop.devices()) == 1


async def test_it_guesses_the_digits(world: World) -> None:
    """It lets nobody join and hopes that one of three guesses is typed: each is one of a million."""
    servers: list[Middle] = []

    def alone(side: Side, n: int) -> bytes:
        return servers[0].code.seal(side, n, servers[0].lies((side, n)), DICE)

    lied_to(world, alone, "laptop")
    laptop = await world.first()
    async with laptop.pair() as pairing:
        servers.append(Middle(Code.decode(pairing.code)))
        await pairing.guest()
        assert pairing._met is not None
        right = pairing._met[0].digits()
        for n in (1, 2, 3):
            guess = f"{(int(right) + n) % 10**6:06}"
            assert await failed(pairing.confirm(guess)) == "pairing_check_failed"
        assert await failed(pairing.confirm(right)) == "pairing_failed"
    assert len(await laptop.devices()) == 1


async def test_a_server_that_does_not_know_the_code(world: World) -> None:
    """Whatever it puts into the mailbox instead was sealed under no key of the code."""
    codes: list[Code] = []

    def blind(side: Side, n: int) -> bytes:
        return Code(codes[0].server, codes[0].mailbox, bytes(32)).seal(side, n, {"commit": bytes(32)}, DICE)

    lied_to(world, blind, "laptop", "phone")
    laptop = await world.first()
    async with laptop.pair() as pairing:
        codes.append(Code.decode(pairing.code))
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            assert await failed(joining.digits()) == "pairing_failed"
            assert await failed(pairing.guest()) == "pairing_failed"


async def recorded(world: World, laptop: Device) -> tuple[Recorder, str, AccountSecrets]:
    """A pairing that went well, all its messages, its code and what it handed over."""
    recorder = Recorder()
    codes: list[str] = []
    for name in ("laptop", "phone"):
        world.transport(name).meddle = recorder.meddle
    async with laptop.pair() as pairing:
        codes.append(pairing.code)
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            guest = asyncio.create_task(pairing.guest())
            digits = await joining.digits()
            await guest
            _, phone = await asyncio.gather(pairing.confirm(digits), joining.finish())
    secrets = phone._opened.vault.secrets
    await phone.aclose()
    for name in ("laptop", "phone"):
        world.transport(name).meddle = None
    assert len(recorder.kept) == 6
    return recorder, codes[0], secrets


async def test_messages_of_an_earlier_pairing_are_replayed(world: World) -> None:
    [server] = lied_to(world, lambda side, n: b"", "laptop")
    server.lie = None
    laptop = await world.first()
    recorder, _, _ = await recorded(world, laptop)
    lied_to(world, recorder.replay, "tablet")
    server.lie = recorder.replay
    async with laptop.pair() as pairing:
        async with Device.join(world.folder / "tablet", pairing.code, **world.around("tablet")) as joining:
            assert await failed(joining.digits()) == "pairing_failed"
        assert await failed(pairing.guest()) == "pairing_failed"


async def test_a_code_that_was_photographed_is_used_afterwards(world: World) -> None:
    laptop = await world.first()
    _, code, _ = await recorded(world, laptop)
    async with Device.join(world.folder / "thief", code, **world.around("thief")) as joining:
        assert await failed(joining.digits()) == "pairing_taken"
    assert len(await laptop.devices()) == 2


async def test_a_photographed_code_and_all_the_traffic_give_no_key(world: World) -> None:
    """The code opens the messages; what matters in them was sealed under keys that both sides forgot."""
    laptop = await world.first()
    recorder, text, secrets = await recorded(world, laptop)
    code = Code.decode(text)
    opened = {place: code.open(*place, raw) for place, raw in recorder.kept.items()}
    seen = canonical.encode([[list(place), contents] for place, contents in opened.items()])
    for key in (*secrets.keys.values(), secrets.index):
        assert bytes(key) not in seen
    reveal = opened["guest", 1]["reveal"]
    shown = Reveal.read(reveal, opened["guest", 0]["commit"])
    owner = opened["owner", 0]
    log = DeviceLog.replay([SignedEntry(entry, signatures) for entry, signatures in owner["log"]])
    for other in (owner["eph"], shown.eph):
        guess = Agreement.reach(
            Ephemeral(DICE(32)), other, code.mailbox, log.account, shown, owner["eph"], log.head
        )  # fmt: skip
        with pytest.raises(EcholiaError, match="pairing_failed"):
            guess.open_secrets(opened["owner", 2]["secrets"], opened["owner", 1]["entry"])


async def test_a_late_guest_is_served_an_old_pairing_by_the_server(world: World) -> None:
    """With the code and a server's help a thief hears the owner's side again: it was for other keys."""
    laptop = await world.first()
    recorder, code, _ = await recorded(world, laptop)
    world.transports["thief"] = Deaf(world.ask, lie=recorder.replay)
    async with Device.join(world.folder / "thief", code, **world.around("thief")) as joining:
        await joining.digits()
        assert await failed(joining.finish()) == "pairing_failed"
    assert await failed(Device.open(world.folder / "thief")) == "home_missing"


async def test_whoever_photographed_the_code_is_quicker(world: World) -> None:
    """The thief's device answers first: the person's own says that the pairing failed, and has no digits."""
    laptop = await world.first()
    async with (
        laptop.pair() as pairing,
        Device.join(world.folder / "thief", pairing.code, **world.around("thief")) as thief,
    ):
        guest = asyncio.create_task(pairing.guest())
        await thief.digits()
        await guest
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            assert await failed(joining.digits()) == "pairing_taken"
    assert len(await laptop.devices()) == 1


async def test_the_device_in_the_account_takes_no_code(world: World) -> None:
    """The direction that was phished elsewhere is not there: nothing that it scans adds a device."""
    assert list(inspect.signature(Device.pair).parameters) == ["self"]
    laptop = await world.first()
    thief, _ = await Device.init(world.folder / "thief", laptop.server, **world.around("thief"))
    async with thief, thief.pair() as pairing:
        with pytest.raises(EcholiaError) as error:
            async with Device.join(world.folder / "laptop", pairing.code, **world.around("laptop 2")):
                pass
    assert error.value.code in ("home_exists", "home_locked")
    assert len(await laptop.devices()) == 1
