"""A home that was restored or cloned writes again from the same state: no nonce, subkey or body comes twice.

All that reached the wire from both lives is taken apart. The dice are the product's own here: what is shown
is that nothing else decides a nonce, neither a counter in the home nor anything that a backup brings back.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from echolia.client import Device, SpliceText
from echolia.client.environment import Environment
from echolia.core import push, runs
from echolia.core.collections import declare
from echolia.core.ids import unb64
from echolia.e2ee import sealing
from echolia.e2ee.keys import AccountSecrets
from tests.support.devices import World
from tests.vectors import reference as ref

KIT = declare("kit", title="multi", text="text")
NOTE = "aa" * 16


class Sent(NamedTuple):
    """A sealed change as it went over the wire, with what was drawn for it."""

    dot: tuple[bytes, int]
    wrapped: bytes
    nonce: bytes
    subkey: bytes
    body: bytes


def sent(world: World, secrets: AccountSecrets) -> set[Sent]:
    """Every change that any device has pushed; what was sent again as it was is the same one."""
    return {
        _taken_apart(secrets, header.device, change)
        for transport in world.transports.values()
        for request in transport.asked
        if request.path.startswith("/sync/push") and request.body
        for frame in push.read_push(request.body)
        for header in [runs.read_header(frame)]
        for change in runs.read_changes(frame, header, runs.change_ends(frame, header))
    }


def _taken_apart(secrets: AccountSecrets, device: bytes, change: runs.Change) -> Sent:
    wrapped, nonce = change.body[:72], change.body[72:96]
    key = sealing.unwrap(secrets, change.object, change.generation, wrapped)
    subkey = ref.b(64, bytes(key.key), nonce, b"echolia1/subkey")[:32]
    return Sent((device, change.counter), wrapped, nonce, subkey, change.body)


def repeated(found: Iterable[Sent]) -> set[str]:
    """What came twice among them."""
    changes = list(found)
    nonces = [change.nonce for change in changes]
    # Changes of one object carry the same wrapped key on purpose; another one must have another nonce.
    nonces += [wrapped[:24] for wrapped in {change.wrapped for change in changes}]
    drawn = {"nonce": nonces, "subkey": [change.subkey for change in changes]}
    drawn["body"] = [change.body for change in changes]
    return {what for what, each in drawn.items() if max(Counter(each).values()) > 1}


def forks(found: Iterable[Sent]) -> int:
    """How many dots were written twice: what makes two lives of two homes."""
    by_dot = defaultdict[tuple[bytes, int], set[bytes]](set)
    for change in found:
        by_dot[change.dot].add(change.body)
    return sum(len(bodies) > 1 for bodies in by_dot.values())


@asynccontextmanager
async def opened(world: World, name: str, seed: str = "") -> AsyncIterator[Device]:
    """A home with the product's own dice, or with seeded ones."""
    around = world.around(name, seed=seed)
    if not seed:
        around["environment"] = replace(around["environment"], dice=Environment().dice)
    async with await Device.open(world.folder / name, collections=[KIT], **around) as device:
        yield device


async def prepared(world: World) -> AccountSecrets:
    """A laptop's home with a synced note and an edit that is not sent yet; the account's secrets."""
    laptop = await world.first()
    secrets = laptop._opened.vault.secrets
    await laptop.aclose()
    async with opened(world, "laptop") as laptop:
        await laptop.collection("kit").create({"title": "plan", "text": "one two three"}, id=NOTE)
        await laptop.sync()
        await edit(laptop, "waiting")
    return secrets


async def edit(device: Device, word: str) -> None:
    """The same edits each time: a change of the note, and a new one."""
    kit = device.collection("kit")
    await kit.update(NOTE, {"title": word, "text": [SpliceText(0, 0, word)]})
    await kit.create({"title": word}, id="bb" * 16 if word == "again" else None)


def copied(world: World, name: str) -> None:
    """The laptop's folder as it is, a second time."""
    shutil.copytree(world.folder / "laptop", world.folder / name)


async def test_a_home_restored_from_a_backup(world: World) -> None:
    secrets = await prepared(world)
    copied(world, "backup")
    for life in range(3):
        if life:
            shutil.rmtree(world.folder / "laptop")
            shutil.copytree(world.folder / "backup", world.folder / "laptop")
        async with opened(world, "laptop") as laptop:
            await edit(laptop, "again")
            await laptop.sync()
            await edit(laptop, "later")
            await laptop.sync()
    found = sent(world, secrets)
    assert forks(found) > 0, "the lives wrote nothing at the same place"
    assert repeated(found) == set()


async def test_a_home_cloned_while_it_is_used(world: World) -> None:
    secrets = await prepared(world)
    copied(world, "clone")
    copied(world, "other")
    async with (
        opened(world, "laptop") as laptop,
        opened(world, "clone") as clone,
        opened(world, "other") as other,
    ):
        for word in ("again", "later"):
            for device in (laptop, clone, other):
                await edit(device, word)
            for device in (other, laptop, clone):
                await device.sync()
    found = sent(world, secrets)
    assert forks(found) > 0, "the homes wrote nothing at the same place"
    assert repeated(found) == set()


def messages(world: World) -> Iterator[bytes]:
    """Every sealed message of a pairing that was put into a mailbox."""
    for transport in world.transports.values():
        for request in transport.asked:
            if "/auth/pair-device/" in request.path and request.method == "POST":
                yield unb64(json.loads(request.body)["message"])


async def test_a_home_restored_from_a_backup_pairs_again(world: World) -> None:
    await prepared(world)
    copied(world, "backup")
    for life in range(2):
        if life:
            shutil.rmtree(world.folder / "laptop")
            shutil.copytree(world.folder / "backup", world.folder / "laptop")
        async with opened(world, "laptop") as laptop:
            await laptop.sync()
            phone = await world.added(laptop, f"phone {life}")
            await phone.aclose()
    found = set(messages(world))
    assert len(found) == 12
    assert len({message[:24] for message in found}) == len(found)


async def test_the_same_dice_twice_are_noticed(world: World) -> None:
    """As far as the promise goes: were all 24 random bytes the same, a nonce would come twice."""
    secrets = await prepared(world)
    copied(world, "clone")
    async with opened(world, "laptop", "dice") as laptop, opened(world, "clone", "dice") as clone:
        await edit(laptop, "here")
        await edit(clone, "there")
        await laptop.sync()
        await clone.sync()
    assert repeated(sent(world, secrets)) >= {"nonce", "subkey"}
