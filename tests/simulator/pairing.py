"""A new machine joins: by two devices and the person between them, or by the words, in whatever weather."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from echolia.client import Device, EcholiaError
from tests.simulator.crashes import Crashed
from tests.simulator.disks import Disk
from tests.simulator.machines import Machine
from tests.support.devices import SERVER

if TYPE_CHECKING:
    from tests.simulator.world import World

# The person gives up on what does not show its digits.
PATIENCE_S = 150.0


async def pair(world: World, owner: Machine, *, perils: bool = True) -> None:
    """Add one machine by `owner`; when it fails, nothing of the new one stays."""
    if owner.process is None:
        return  # it has ended in this moment
    guest = world.new_machine()
    disk = guest.new_disk()
    if perils and world.chance.random() < 0.3:
        disk.crash_at(world.chance.randrange(1, 4), after=world.chance.random() < 0.5)
    code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    digits: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    adding = owner.begin(partial(_add, owner.process.device, code, digits))
    adding.add_done_callback(lambda _: code.cancel())
    joining = asyncio.create_task(_join(world, guest, disk, code, digits))
    await asyncio.wait([adding, joining])
    joining.result()


async def _add(owner: Device, code: asyncio.Future[str], digits: asyncio.Future[str]) -> None:
    async with owner.pair() as pairing:
        code.set_result(pairing.code)
        await pairing.guest()
        try:
            typed = await asyncio.wait_for(asyncio.shield(digits), PATIENCE_S)
        except TimeoutError:
            return
        await pairing.confirm(typed)


async def recover(world: World) -> None:
    """A new machine becomes a device by the words alone."""
    guest, phrase = world.new_machine(), world.phrase
    while True:
        disk = guest.new_disk()
        if world.chance.random() < 0.3:
            disk.crash_at(world.chance.randrange(1, 4), after=world.chance.random() < 0.5)
        around = guest.around(disk)
        try:
            device = await Device.recover(guest.folder, SERVER, phrase, **around)
        except Crashed:
            continue
        except EcholiaError as error:
            if error.code == "account_unknown" or error.code in world.passing:
                return  # the words were replaced just now, or nothing comes through
            if error.code != "home_exists":
                raise
            await guest.start()  # it had been done, all but saying so
        else:
            guest.runs(device, disk, around["transport"])
        world.note(f"{guest.name} was recovered")
        world.machines.append(guest)
        return


async def _join(
    world: World, guest: Machine, disk: Disk, code: asyncio.Future[str], digits: asyncio.Future[str]
) -> None:
    await asyncio.wait([code])
    if code.cancelled():
        return
    around = guest.around(disk)
    try:
        async with Device.join(guest.folder, code.result(), **around) as joining:
            digits.set_result(await joining.digits())
            device = await joining.finish()
    except (EcholiaError, Crashed) as error:
        if isinstance(error, EcholiaError) and error.code not in world.passing:
            raise
        if not (guest.folder / "vault").exists():
            return  # it is no home, and the next one starts afresh
        await guest.start()
    else:
        guest.runs(device, disk, around["transport"])
    world.note(f"{guest.name} has joined")
    world.machines.append(guest)
