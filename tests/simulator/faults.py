"""What befalls a world: each fault has a name, a weight, and says what may follow from it.

A world has some of them only, each with a weight of its own: what never happens together with another thing
hides what happens without it.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from tests.simulator import pairing
from tests.simulator.disks import Disk
from tests.simulator.machines import Machine

if TYPE_CHECKING:
    from echolia.client import Device
    from tests.simulator.world import World

YEAR_S: Final = 365 * 86_400.0
_DECADE_S: Final = 10 * YEAR_S
_HOUR_S: Final = 3600.0
_UNDO_S: Final = 28 * 86_400.0
MOST_MACHINES: Final = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """`act` does it to a running machine, or gives False where it cannot be done now."""

    name: str
    weight: float
    act: Callable[[World, Machine], Awaitable[bool]]


def for_this_world(chance: Random) -> list[Fault]:
    """Some of the faults, with other weights."""
    some = [
        replace(fault, weight=fault.weight * chance.uniform(0.2, 3))
        for fault in FAULTS
        if chance.random() < 0.6
    ]
    # A home from before a restore may write what the server has lost a second time, and nobody can know.
    without = chance.choice([{_put_back_server}, {_put_back, _clone}])
    return [fault for fault in some if fault.act not in without]


async def befall(world: World, machine: Machine) -> None:
    """One fault, if there is one in this world that can be done."""
    if not world.table:
        return
    weights = [fault.weight for fault in world.table]
    [fault] = world.chance.choices(world.table, weights)
    if await fault.act(world, machine):
        world.tally[f"fault: {fault.name}"] += 1
        world.note(f"{machine.name}: {fault.name}")


# --- processes ------------------------------------------------------------------------------------


async def _kill(world: World, machine: Machine) -> bool:
    """The process ends wherever it is."""
    await machine.kill()
    await machine.start()
    return True


async def _crash(world: World, machine: Machine) -> bool:
    """The process ends before or after one of its next durable steps."""
    assert machine.process is not None, "it runs"
    _crash_soon(world, machine.process.disk, 12)
    return True


async def _crash_server(world: World, machine: Machine) -> bool:
    """The server ends before or after one of its next commits; what it had in hand is never answered."""
    _crash_soon(world, world.server.disk, 6)
    return True


def _crash_soon(world: World, disk: Disk, steps: int) -> None:
    disk.crash_at(world.chance.randrange(1, steps), after=world.chance.random() < 0.5)


async def _restart(world: World, machine: Machine) -> bool:
    """The app is closed and opened again."""
    await machine.stop()
    await machine.start()
    return True


async def _restart_server(world: World, machine: Machine) -> bool:
    """An update: the server stops in order and starts again."""
    if world.server.disk.dead:
        return False
    await world.server.stop()
    await asyncio.sleep(world.chance.random() * 5)
    await world.server.start()
    return True


async def _cut_off(world: World, machine: Machine) -> bool:
    """A sync is given up somewhere."""
    world.sync(machine)
    assert machine.process is not None and machine.process.syncing is not None, "it has begun"
    asyncio.get_running_loop().call_later(world.chance.random() * 0.4, machine.process.syncing.cancel)
    return True


# --- surroundings ---------------------------------------------------------------------------------


async def _step_clock(world: World, machine: Machine) -> bool:
    """Somebody sets the device's clock, ten years wrong if it so happens."""
    machine.skew_s = world.chance.choice([0, _DECADE_S, -_DECADE_S, world.chance.gauss(0, _HOUR_S)])
    return True


async def _step_server_clock(world: World, machine: Machine) -> bool:
    """The server's clock is some hours off."""
    world.server_skew_s = world.chance.choice([0, world.chance.gauss(0, _HOUR_S)])
    return True


async def _fill_disk(world: World, machine: Machine) -> bool:
    """The device's disk is full for a while."""
    assert machine.process is not None, "it runs"
    world.passing |= {"disk_full"}
    _full_for_a_while(world, machine.process.disk)
    return True


async def _fill_server_disk(world: World, machine: Machine) -> bool:
    """The server's disk is full for a while."""
    world.passing |= {"storage_full"}
    _full_for_a_while(world, world.server.disk)
    return True


async def _limit_account(world: World, machine: Machine) -> bool:
    """The account may hold little, or little a minute; the next time it may again."""
    if world.server.disk.dead:
        return False
    little = {"quota_bytes": 20_000, "quota_objects": 10, "quota_changes_per_minute": 10}
    chosen = world.chance.choice(sorted(little))
    world.server.limits = {} if world.server.limits else {chosen: little[chosen]}
    return await _restart_server(world, machine)


def _full_for_a_while(world: World, disk: Disk) -> None:
    disk.full = True
    asyncio.get_running_loop().call_later(world.chance.random() * 5, setattr, disk, "full", False)


async def _go_offline(world: World, machine: Machine) -> bool:
    """No network for a while; for a year, if it so happens, and the others go on."""
    if machine.offline:
        return False
    machine.go_offline()
    if world.chance.random() < 0.3:
        world.leap_s += YEAR_S * world.chance.uniform(0.1, 1.2)
        world.tally["fault: a year goes by"] += 1
    asyncio.get_running_loop().call_later(world.chance.uniform(1, 120), machine.come_back)
    return True


# --- membership -----------------------------------------------------------------------------------


async def _pair(world: World, machine: Machine) -> bool:
    """One more device joins, while everything else goes on."""
    if len(world.machines) >= MOST_MACHINES or (world.pairing and not world.pairing.done()):
        return False
    world.pairing = asyncio.create_task(pairing.pair(world, machine))
    return True


async def _recover(world: World, machine: Machine) -> bool:
    """One more device by the recovery phrase, while everything else goes on."""
    if len(world.machines) >= MOST_MACHINES or (world.pairing and not world.pairing.done()):
        return False
    world.pairing = asyncio.create_task(pairing.recover(world))
    return True


async def _rotate(world: World, machine: Machine) -> bool:
    """The account key is rotated."""
    assert machine.process is not None, "it runs"
    return not machine.begin(machine.process.device.rotate).done()


async def _replace_phrase(world: World, machine: Machine) -> bool:
    """The recovery phrase is replaced; if that is interrupted, the words come with the next try."""
    assert machine.process is not None, "it runs"
    return not machine.begin(partial(_replaced, world, machine.process.device)).done()


async def _replaced(world: World, device: Device) -> None:
    world.phrase = await device.replace_phrase()
    await device.phrase_kept()


async def _revoke(world: World, machine: Machine) -> bool:
    """A device is taken out; what it wrote and nobody who decided had seen is lost with it."""
    others = [one for one in world.running() if one is not machine]
    if not others or not _enough_are_left(world):
        return False
    other = world.chance.choice(others)
    assert machine.process is not None and other.process is not None, "they run"
    revoked = other.process.device.id
    world.doubtful.add(bytes.fromhex(revoked))
    for one in world.of_device(revoked):
        one.endings.add("device_revoked")
    begun = machine.begin(partial(machine.process.device.revoke, revoked))
    return not begun.done()


def _enough_are_left(world: World) -> bool:
    """Whether two others stay, of which nothing is known that may put an end to them."""
    return len([machine for machine in world.machines if not machine.endings]) > 2


# --- copies of homes and of the server ------------------------------------------------------------


async def _put_back(world: World, machine: Machine) -> bool:
    """A device's home is put back to what it was some time ago, or else kept for that."""
    assert machine.process is not None, "it runs"
    # What a home had made anew under a new identity, an older copy of it may send as it was: not even the
    # home itself can know.
    backup = world.folder / f"{machine.name}.{machine.process.device.id}.backup"
    # Nor can it know what was sent since and is compacted by now: that it makes anew.
    old = world.now_s() - world.backed_up_s.get(backup, 0) > _UNDO_S
    if old or world.chance.random() < 0.3:
        shutil.rmtree(backup, ignore_errors=True)
        machine.copy_to(backup)
        world.backed_up_s[backup] = world.now_s()
        return False
    if not _enough_are_left(world):
        return False
    await machine.kill()
    machine.put_back(backup)
    await machine.start()
    _forked(world, machine)
    return True


async def _clone(world: World, machine: Machine) -> bool:
    """Somebody copies a home to a second machine and uses both."""
    assert machine.process is not None, "it runs"
    if len(world.machines) >= MOST_MACHINES or not _enough_are_left(world):
        return False
    if bytes.fromhex(machine.process.device.id) in world.forked:
        return False  # it is one of two already: what both of its copies make anew is there twice
    twin = world.new_machine()
    twin.endings |= machine.endings
    machine.copy_to(twin.folder)
    await twin.start()
    world.machines.append(twin)
    _forked(world, machine)
    _forked(world, twin)
    return True


def _forked(world: World, machine: Machine) -> None:
    """Two histories of one device: whoever comes second takes a new identity, and makes its edits anew."""
    assert machine.process is not None, "it runs"
    world.doubtful.add(bytes.fromhex(machine.process.device.id))
    world.forked.add(bytes.fromhex(machine.process.device.id))


async def _put_back_server(world: World, machine: Machine) -> bool:
    """The server's data is put back to what it was some time ago, or else kept for that."""
    backup = world.folder / "server.backup"
    if world.server.disk.dead:
        return False
    moved_on = not backup.exists() or _device_log_of(backup) != _device_log_of(world.server.folder)
    if moved_on or world.chance.random() < 0.3:
        shutil.rmtree(backup, ignore_errors=True)
        world.server.copy_to(backup)
        return False
    if world.pairing is not None and not world.pairing.done():
        return False
    await world.server.stop()
    await world.server.put_back(backup)
    await world.server.start()
    world.restored = world.edits.brought_back = True
    world.doubtful |= {event.device for event in world.edits.expected.all}
    return True


def _device_log_of(folder: Path) -> int:
    """How long the device log is. Two that went on differently from a backup cannot be brought together."""
    with closing(sqlite3.connect(folder / "directory.db")) as directory:
        [[length]] = directory.execute("SELECT count(*) FROM device_log")
    return int(length)


async def _pass_a_month(world: World, machine: Machine) -> bool:
    """Time goes by for everybody, so that history may be let go of."""
    world.leap_s += 31 * 86_400.0
    return True


FAULTS: Final[Sequence[Fault]] = (
    Fault("device killed", 1, _kill),
    Fault("device crashes at a step", 3, _crash),
    Fault("server crashes at a commit", 1, _crash_server),
    Fault("device restarts", 1, _restart),
    Fault("server restarts", 0.2, _restart_server),
    Fault("sync given up", 3, _cut_off),
    Fault("device clock set", 2, _step_clock),
    Fault("server clock set", 1, _step_server_clock),
    Fault("device disk full", 1, _fill_disk),
    Fault("server disk full", 1, _fill_server_disk),
    Fault("quota", 0.7, _limit_account),
    Fault("offline", 1, _go_offline),
    Fault("pairing", 0.7, _pair),
    Fault("revocation", 0.3, _revoke),
    Fault("recovery", 0.3, _recover),
    Fault("rotation", 0.5, _rotate),
    Fault("phrase replaced", 0.3, _replace_phrase),
    Fault("home put back", 0.8, _put_back),
    Fault("home cloned", 0.4, _clone),
    Fault("server put back", 0.6, _put_back_server),
    Fault("a month goes by", 1, _pass_a_month),
)
