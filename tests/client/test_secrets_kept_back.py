"""Whatever a device is doing, its keys are in no representation and no crash report."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from echolia.client import Device
from echolia.client.transport import Answer, Request
from echolia.e2ee.pairing import Code
from tests.support.crash_report import leaked, report
from tests.support.devices import SERVER, World


class Broken(Exception):
    """A fault that nobody expects."""


def keys_of(device: Device) -> list[bytes]:
    """All keys that a device's home holds, as plain bytes."""
    vault = device._opened.vault
    keys = [vault.keys.sign_secret, vault.keys.box_secret, vault.secrets.index, *vault.secrets.keys.values()]
    return [bytes(key) for key in [*keys, *filter(None, [vault.entropy])]]


def held(root: object) -> Iterator[object]:
    """Every object of the package's classes that can be reached from one."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        each = waiting.pop()
        if type(each).__module__.startswith("echolia"):
            yield each
        elif isinstance(each, type) or type(each).__name__ in {"module", "function", "frame"}:
            continue
        for other in gc.get_referents(each):
            if id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)


async def test_nothing_that_a_pairing_holds_shows_a_key(world: World) -> None:
    laptop = await world.first()
    await laptop.collection("entries").create({"title": "one"})
    await laptop.sync()
    async with laptop.pair() as pairing:
        around = world.around("phone")
        async with Device.join(world.folder / "phone", pairing.code, **around) as joining:
            guest = asyncio.create_task(pairing.guest())
            digits = await joining.digits()
            await guest
            assert pairing._met is not None and joining._met is not None
            secrets = [*keys_of(laptop), pairing._met[0].dh, Code.decode(pairing.code).secret]
            secrets += [joining._keys.sign_secret, joining._keys.box_secret, pairing._met[0].mac()]
            found = [each for root in (laptop, pairing, joining) for each in held(root)]
            _, phone = await asyncio.gather(pairing.confirm(digits), joining.finish())
    found += list(held(phone))
    await phone.aclose()
    names = {type(each).__name__ for each in found}
    assert names >= {
        "KeyPairs",
        "AccountSecrets",
        "Agreement",
        "Code",
        "Identity",
        "Vault",
        "Replica",
        "Session",
    }
    for each in found:
        assert leaked(f"{each!r} {each}", map(bytes, secrets)) == [], type(each).__name__


def leaves(group: BaseExceptionGroup[Broken]) -> list[BaseException]:
    """The faults in a group."""
    found: list[BaseException] = []
    for each in group.exceptions:
        found += leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found


async def failures(attempt: Callable[[], Awaitable[Any]], arm: Callable[[int], None]) -> list[BaseException]:
    """What an attempt ends with if its first step breaks, its second, and so on until it comes through."""
    met: list[BaseException] = []
    for step in range(200):
        arm(step)
        whole = len(met)
        try:
            await attempt()
        except* Broken as group:
            met += leaves(group)
        if len(met) == whole:
            return met
    raise AssertionError("it never comes through")


def breaking(world: World, *names: str) -> Callable[[int], None]:
    """Break the named devices' exchange number `step`, counted from now."""

    def arm(step: int) -> None:
        left = [step]

        def meddle(request: Request, answer: Answer) -> Answer:
            left[0] -= 1
            if left[0] < 0:
                raise Broken
            return answer

        for name in names:
            world.transport(name).meddle = meddle

    return arm


async def test_no_fault_of_the_network_reports_a_key(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    await laptop.collection("entries").create({"title": "one"})
    met = await failures(laptop.sync, breaking(world, "laptop"))
    met += await failures(phone.sync, breaking(world, "phone"))

    tablets = [f"tablet {n}" for n in range(60)]
    following = iter(tablets)

    async def paired() -> None:
        await world.added(laptop, next(following))

    met += await failures(paired, breaking(world, "laptop", *tablets))
    assert len(met) > 12
    assert [leaked(report(error), [*keys_of(laptop), *keys_of(phone)]) for error in met] == [[]] * len(met)


async def test_no_fault_of_the_dice_reports_a_key(world: World) -> None:
    """Randomness that ends halfway: what was drawn by then is in no report."""
    drawn: list[bytes] = []
    left = [0]
    around = world.around("laptop")
    honest = around["environment"].dice

    def dice(length: int) -> bytes:
        if left[0] <= 0:
            raise Broken
        left[0] -= 1
        drawn.append(honest(length))
        return drawn[-1]

    around["environment"] = replace(around["environment"], dice=dice)

    def arm(step: int) -> None:
        left[0] = step

    async def made() -> None:
        device, _ = await Device.init(world.folder / f"home {left[0]}", SERVER, **around)
        await device.aclose()

    met = await failures(made, arm)
    left[0] = 1000
    device, _ = await Device.init(world.folder / "laptop", SERVER, **around)
    async with device:
        note = await device.collection("entries").create({"title": "one"})

        async def edited() -> None:
            await device.collection("entries").update(note, {"title": "two"})
            await device.sync()

        async def shown() -> None:
            async with device.pair():
                pass

        met += await failures(edited, arm) + await failures(shown, arm)
        keys = [each for each in drawn if len(each) == 32] + keys_of(device)
    assert len(met) >= 8
    assert [leaked(report(error), keys) for error in met] == [[]] * len(met)


@pytest.mark.parametrize("shown", ["{key!r}", "{hex}"])
def test_a_report_with_a_key_is_noticed(shown: str) -> None:
    key = bytes(range(32))
    assert leaked(shown.format(key=key, hex=key.hex()), [key]) == [key]
