"""A paused account's database is closed; whoever wants it waits, and nobody comes between."""

from __future__ import annotations

import asyncio

import pytest

from echolia.storage.engine import DatabaseBusy, DatabaseMissing, StorageError
from echolia.storage.leases import Lease
from tests.storage.conftest import account_id
from tests.storage.test_leases import World, databases_of, ticks


async def test_who_wants_a_paused_one_waits_and_gets_it_opened_anew() -> None:
    world = World()
    databases = databases_of(world, 5)
    async with Lease(databases, account_id(1)):
        pass
    await databases.pause(account_id(1))
    assert world.open.total() == 0
    waiting = asyncio.create_task(Lease(databases, account_id(1)).__aenter__())
    await ticks()
    assert not waiting.done() and world.open.total() == 0
    async with Lease(databases, account_id(2)):
        pass  # others do not notice
    databases.resume(account_id(1))
    assert (await waiting).account == account_id(1)
    assert databases.opened_total == 3


async def test_who_waits_too_long_for_a_paused_one_is_told_to_try_again() -> None:
    databases = databases_of(World(), 5, pause_s=0)
    await databases.pause(account_id(1))
    with pytest.raises(DatabaseBusy):
        async with Lease(databases, account_id(1)):
            raise AssertionError("it is paused")
    databases.resume(account_id(1))
    async with Lease(databases, account_id(1)) as database:
        await database.batch([])
    await databases.close()


async def test_a_pause_during_an_opening_waits_for_who_wanted_it() -> None:
    world = World()
    world.gate = asyncio.Event()
    databases = databases_of(world, 5)
    opening = asyncio.create_task(Lease(databases, account_id(1)).__aenter__())
    await ticks()
    pausing = asyncio.create_task(databases.pause(account_id(1), 30))
    await ticks()
    world.gate.set()
    await opening
    assert not pausing.done()
    slot = databases._slots[account_id(1)]
    databases.give_back(slot)
    await pausing
    assert world.open.total() == 0
    databases.resume(account_id(1))


async def test_what_is_refused_or_closed_while_paused_is_not_granted_afterwards() -> None:
    world = World()
    databases = databases_of(world, 5)
    for account in (account_id(1), account_id(2)):
        await databases.pause(account)
    waiting = [asyncio.create_task(Lease(databases, account_id(n)).__aenter__()) for n in (1, 2)]
    await ticks()
    await databases.refuse(account_id(1))
    databases.resume(account_id(1))
    with pytest.raises(DatabaseMissing):
        await waiting[0]
    await databases.close()
    databases.resume(account_id(2))
    with pytest.raises(StorageError, match="closed"):
        await waiting[1]
    assert world.open.total() == 0
