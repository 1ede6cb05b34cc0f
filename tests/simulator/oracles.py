"""What must hold once everything has come to rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from echolia.client import Device, EcholiaError, ledger
from echolia.core import runs
from echolia.core.clock import CLAMPED_LOGICAL, Key
from echolia.core.merge import canonical_view, decode
from echolia.core.parts import find_parts, leaf_of
from tests.client.crash_stage import check_home
from tests.simulator.edits import CANARY, shown, wrong_on
from tests.simulator.expectations import Event, Expectations, Shown
from tests.simulator.machines import Machine
from tests.simulator.world import Broken, World
from tests.support.devices import SERVER

_SEARCHED: Final = 12
# The server's clock is no further behind the true time, by which events tell when they were made.
_SERVER_BEHIND_MS: Final = 6 * 3_600_000


async def check(world: World) -> None:
    """Raise `Broken` for the first promise that does not hold."""
    devices = [machine.process.device for machine in world.running() if machine.process is not None]
    if not devices:
        raise Broken("nobody is left")
    for machine in world.machines:
        await _check_ending(machine)
    for device in devices:
        await _check_quiet(device)
        check_home(device)
    _check_convergence(devices)
    _judge(world, devices[0])
    _check_expectations(world, devices[0])
    for device in devices:
        await _check_found(world, device)
    await _check_keys(devices)
    await _check_recovery(world, devices)
    _check_blind(world)


async def _check_keys(devices: list[Device]) -> None:
    """All have the same keys, and nobody who was revoked knows the newest."""
    keys = {(device._replica.identity.secrets.encode()) for device in devices}
    log = ledger.device_log(devices[0]._replica.database)
    if len(keys) != 1 or (await devices[0].status()).generation != log.generation:
        raise Broken("the devices have different account keys")
    if log.rotation_due:
        raise Broken("somebody who was revoked knows the newest account key")


async def _check_recovery(world: World, devices: list[Device]) -> None:
    """The words rebuild all that the devices show."""
    phrase = await devices[0].replace_phrase()
    for device in devices:
        await device.sync()
    machine = world.new_machine()
    async with await Device.recover(
        machine.folder, SERVER, phrase, **machine.around(machine.new_disk())
    ) as new:
        await new.sync()
        if (await new.status()).brake is not None or _states(new) != _states(devices[0]):
            raise Broken("what the words rebuild is not what the devices show")


async def _check_ending(machine: Machine) -> None:
    """Whom the account let go is let in no more."""
    assert machine.process is not None, "all run in the end"
    if machine.fate == "device_revoked":
        try:
            await machine.process.device.sync()
        except EcholiaError as error:
            if error.code == "device_revoked":
                return
        raise Broken(f"{machine.name} was revoked and could sync")


async def _check_quiet(device: Device) -> None:
    status = await device.status()
    for what, found in (
        ("changes are unsent", status.pending),
        ("changes were set aside", status.quarantined),
        ("the honest server was accused", status.evidence),
    ):
        if found:
            raise Broken(f"{device.home.name}: {what}: {found}")


def _check_convergence(devices: list[Device]) -> None:
    first, *others = ((device.home.name, _states(device)) for device in devices)
    for other in others:
        for id_ in sorted(first[1].keys() | other[1].keys()):
            if first[1].get(id_) != other[1].get(id_):
                raise Broken(f"{first[0]} and {other[0]} differ in {id_.hex()}")


def _states(device: Device) -> dict[bytes, tuple[bytes, bytes]]:
    """Of every object the canonical form of what is confirmed, and what people see, which is all there is."""
    rows = device._replica.database.rows("SELECT id, confirmed, view FROM objects WHERE shown IS NULL")
    return {id_: (canonical_view(decode(confirmed)), view) for id_, confirmed, view in rows}


def _judge(world: World, device: Device) -> None:
    """Say of each edit of a doubtful device whether it counts."""
    logged = _leaves(world.server.folder) if world.forked or world.restored else frozenset()
    running = {bytes.fromhex(one.process.device.id) for one in world.running() if one.process is not None}
    cut_off = {
        one.device: one.revoked.last
        for one in ledger.device_log(device._replica.database).devices.values()
        if one.revoked is not None
    }
    edits = world.edits.expected
    for event in edits.all:
        if event.device in world.forked and event.leaf not in logged:
            event.counts, event.again = None, True  # it was made anew, or went with a home that was put back
        elif world.restored and event.leaf not in logged and _nobody_has(event, running, edits):
            event.counts = (
                None  # the server lost it, and whoever had it was shut out or became another device
            )
        elif event.counter > cut_off.get(event.device, runs.MAX_COUNTER):
            # Who had seen it before it was cut off may have carried it into an edit that counts, or brought
            # it back to a server that had lost it.
            carried = world.restored or any(
                e.device != event.device and e.saw(event) for e in edits.by_object[event.object]
            )
            event.counts = None if carried else False


def _nobody_has(event: Event, running: set[bytes], edits: Expectations) -> bool:
    """Whether none of the devices that run wrote it, or wrote anything that had seen it."""
    others = edits.by_object[event.object]
    return event.device not in running and not any(e.device in running and e.saw(event) for e in others)


def _leaves(folder: Path) -> frozenset[bytes]:
    """The hashes of all changes that the server's log holds."""
    found = set()
    for path in (folder / "users").glob("??/*.db"):
        with sqlite3.connect(path) as connection:
            for frame, partial in connection.execute("SELECT frame, partial FROM runs"):
                parts = find_parts(frame, runs.read_header(frame), bool(partial))
                found |= {leaf_of(frame, part) for part in parts}
        connection.close()
    return frozenset(found)


def _check_expectations(world: World, device: Device) -> None:
    edits = world.edits.expected
    for id_, events in edits.by_object.items():
        # What was lost comes back by several devices, each as it knows it, at the times of its return.
        unsure = ("(alive, recovered)", "one is") if world.restored else ()
        wrong = [one for one in wrong_on(device, edits, id_, events) if not one.startswith(unsure)]
        if not wrong and all(event.counts is not None for event in events):
            wrong = _last_writer(world, device, id_, [event for event in events if event.counts])
        if wrong:
            raise Broken(f"{id_}: {'; '.join(wrong)}")


def _last_writer(world: World, device: Device, id_: str, events: list[Event]) -> list[str]:
    """The winner of `one` by the specification's key, from the claims and the times of arrival."""
    writes = [event for event in events if event.one is not None]
    record = shown(device, id_)
    if not writes or record is None or not all(_arrived(device, event) for event in writes):
        return []
    keys = {event.one: _keys(world, device, event, events) for event in writes}
    least = max(min(each) for each in keys.values())
    possible = {one for one, each in keys.items() if max(each) >= least}
    found = Shown.of(record).one
    return [] if found in possible else [f"one is {found}, not one of {sorted(map(str, possible))}"]


def _keys(world: World, device: Device, event: Event, events: list[Event]) -> list[Key]:
    """The keys that a write may have by now: one, where it came once.

    What waits to be sent is named anew by the next whole state of its device, which may come later.
    What a server lost comes back at another time than it came first, which was not before it was written.
    """
    wholes = [e for e in events if e.life and e.device == event.device and e.counter > event.counter]
    bounds = [_received_ms(device, one) for one in (event, *wholes)]
    if world.restored:
        bounds += [event.made_ms - _SERVER_BEHIND_MS, event.claim[0]]
    return [_bounded(event, bound) for bound in bounds if bound is not None]


def _bounded(event: Event, bound_ms: int) -> Key:
    wall_ms, logical = event.claim
    if wall_ms > bound_ms:
        wall_ms, logical = bound_ms, CLAMPED_LOGICAL
    return Key(wall_ms, logical, event.device, event.counter)


def _received_ms(device: Device, event: Event) -> int | None:
    return ledger.received_ms(device._replica.database, event.device, event.counter)


def _arrived(device: Device, event: Event) -> bool:
    """Whether it is known when; not of what was let go of since, or of what came back as a whole state."""
    return _received_ms(device, event) is not None


async def _check_found(world: World, device: Device) -> None:
    """Lists, counts and searches say what the objects say."""
    kit = device.collection("kit")
    records = {id_: record for id_ in world.edits.objects if (record := shown(device, id_)) is not None}
    for trash in (False, True):
        expected = sorted(id_ for id_, record in records.items() if record.alive != trash)
        listed = sorted(record.id for record in await kit.list(trash=trash))
        if listed != expected or await kit.count(trash=trash) != len(expected):
            raise Broken(f"{device.home.name}: the list says otherwise")
    titles = {event.title for event in world.edits.expected.all if event.title is not None}
    for title in sorted(titles)[:: max(1, len(titles) // _SEARCHED)]:
        expected = sorted(id_ for id_, one in records.items() if one.alive and title in Shown.of(one).titles)
        found = sorted(one.record.id for one in await kit.search(title, limit=100))
        if found != expected:
            raise Broken(f"{device.home.name}: {title} is found in {found}, not {expected}")


def _check_blind(world: World) -> None:
    """No text that was typed, no name of a field or a collection is anywhere in the server's files."""
    texts = {event.typed for event in world.edits.expected.all if len(event.typed.encode()) >= 12}
    for path in _files(world.server.folder):
        content = path.read_bytes()
        for text in (CANARY, "origin", *sorted(texts)[:20]):
            if text.encode() in content or text.encode("utf-16-le") in content:
                raise Broken(f"the server can read {text} in {path.name}")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
