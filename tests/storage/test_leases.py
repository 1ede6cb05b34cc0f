"""Which databases are open: leases, evictions, cancellations in any order, on databases that only count."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from echolia.storage.engine import DatabaseBusy, DatabaseMissing, Result, Statement, StorageError
from echolia.storage.leases import CLOSING_AT_ONCE, Lease, OpenDatabases
from echolia.storage.reserve import Reserve
from tests.storage.conftest import account_id


class CountedDatabase:
    """A database of nothing that knows whether it is open."""

    def __init__(self, world: World, account: bytes) -> None:
        self.world = world
        self.account = account
        self.closed = False

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        assert not self.closed, "used after it was closed"
        await self.world.pause()
        assert not self.closed, "closed while in use"
        return []

    async def snapshot(self, path: Path) -> None:
        raise AssertionError("nobody asks for it")

    async def reclaim(self) -> None:
        raise AssertionError("nobody asks for it")

    async def close(self) -> None:
        assert not self.closed
        self.closed = True
        await self.world.pause()
        self.world.open[self.account] -= 1
        if self.world.close_fails:
            raise StorageError


class World:
    """Opens counted databases, slowly, and sees to it that none is open twice."""

    def __init__(self, seed: int = 0) -> None:
        self.open: Counter[bytes] = Counter()
        self.most_open = 0
        self.dice = random.Random(seed)
        self.gate: asyncio.Event | None = None
        self.fails = False
        self.close_fails = False

    async def pause(self) -> None:
        """Let others go first, for a while that the dice decide."""
        for _ in range(self.dice.randrange(4)):
            await asyncio.sleep(0)

    async def opener(self, account: bytes) -> CountedDatabase:
        if self.gate is not None:
            await self.gate.wait()
        await self.pause()
        if self.fails:
            raise DatabaseMissing
        self.open[account] += 1
        assert self.open[account] == 1, "two connections on one file"
        self.most_open = max(self.most_open, self.open.total())
        return CountedDatabase(self, account)


async def ticks(count: int = 20) -> None:
    """Let everything that can happen now happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def databases_of(world: World, max_open: int, pause_s: float = 30) -> OpenDatabases:
    return OpenDatabases(world.opener, max_open, Reserve(Path("nowhere")), pause_s)


async def test_leases_of_one_account_share_one_opening() -> None:
    world = World()
    databases = databases_of(world, 5)

    async def use() -> int:
        async with Lease(databases, account_id(1)) as database:
            await database.batch([])
            return id(database)

    assert len(set(await asyncio.gather(*(use() for _ in range(30))))) == 1
    assert databases.opened_total == 1
    await databases.close()
    assert world.open.total() == 0


async def test_the_least_recently_used_idle_one_goes_first() -> None:
    world = World()
    databases = databases_of(world, 3)
    for number in (1, 2, 3, 1, 4):
        async with Lease(databases, account_id(number)):
            pass
    await ticks()
    assert {account for account, count in world.open.items() if count} == set(map(account_id, (3, 1, 4)))
    assert databases.evicted_total == 1
    await databases.close()


async def test_a_leased_one_is_never_evicted() -> None:
    world = World()
    databases = databases_of(world, 2)
    async with Lease(databases, account_id(1)) as held:
        for number in range(2, 30):
            async with Lease(databases, account_id(number)) as database:
                await database.batch([])
        await ticks()
        await held.batch([])
        assert databases.open_count == 2
    await databases.close()


async def test_more_leased_than_fit_are_all_open_and_shrink_afterwards() -> None:
    world = World()
    databases = databases_of(world, 2)
    leases = [Lease(databases, account_id(number)) for number in range(9)]
    for lease in leases:
        await lease.__aenter__()
    assert databases.open_count == databases.leased_count == 9
    for lease in leases:
        await lease.__aexit__(None, None, None)
    await ticks()
    assert databases.open_count == 2
    assert databases.leased_count == 0
    await databases.close()


async def test_memory_lives_as_long_as_the_database_stays_open() -> None:
    world = World()
    databases = databases_of(world, 1)
    async with Lease(databases, account_id(1)) as database:
        database.memory["head"] = 5
        memory = database.memory
    async with Lease(databases, account_id(1)) as database:
        assert database.memory == {"head": 5}
    async with Lease(databases, account_id(2)) as database:
        assert database.memory == {}
    async with Lease(databases, account_id(1)) as database:
        assert database.memory == {}
    assert memory == {}
    await databases.close()


async def test_a_failed_opening_reaches_all_who_wait_and_is_tried_again() -> None:
    world = World()
    world.fails = True
    databases = databases_of(world, 2)

    async def use() -> None:
        async with Lease(databases, account_id(1)):
            pass

    failures = await asyncio.gather(*(use() for _ in range(5)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [DatabaseMissing] * 5
    assert databases.open_count == 0
    world.fails = False
    await use()
    await databases.close()


async def test_an_opening_nobody_waits_for_any_more_becomes_idle() -> None:
    world = World()
    world.gate = asyncio.Event()
    databases = databases_of(world, 1)
    waiting = [asyncio.create_task(Lease(databases, account_id(1)).__aenter__()) for _ in range(3)]
    await ticks()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    world.gate.set()
    await ticks()
    assert (databases.open_count, databases.leased_count) == (1, 0)
    async with Lease(databases, account_id(2)):
        await ticks()
        assert databases.evicted_total == 1
    await databases.close()
    assert world.open.total() == 0


async def test_drop_waits_for_the_leases_and_lets_others_in_meanwhile() -> None:
    world = World()
    databases = databases_of(world, 2)
    async with Lease(databases, account_id(1)) as database:
        dropping = asyncio.create_task(databases.drop(account_id(1)))
        await ticks()
        assert not dropping.done()
        async with Lease(databases, account_id(1)) as same:  # or a lease within a lease would wait for itself
            assert same is database
        await ticks()
        assert not dropping.done()
    await asyncio.wait_for(dropping, 30)
    assert databases.open_count == 0
    await databases.drop(account_id(1))
    async with Lease(databases, account_id(1)) as again:
        assert again is not database
    await databases.close()


async def test_refused_is_refused_from_the_first_moment_until_admitted() -> None:
    world = World()
    databases = databases_of(world, 2)
    async with Lease(databases, account_id(1)) as database:
        refusing = asyncio.create_task(databases.refuse(account_id(1)))
        await ticks()
        assert not refusing.done()
        with pytest.raises(DatabaseMissing):
            await Lease(databases, account_id(1)).__aenter__()
        await database.batch([])  # who was in goes on
    await asyncio.wait_for(refusing, 30)
    assert world.open.total() == 0
    with pytest.raises(DatabaseMissing):
        await Lease(databases, account_id(1)).__aenter__()
    databases.admit(account_id(1))
    async with Lease(databases, account_id(1)):
        pass
    await databases.close()


async def test_refusing_during_an_opening_closes_what_was_opened() -> None:
    world = World()
    world.gate = asyncio.Event()
    databases = databases_of(world, 2)
    opening = asyncio.create_task(Lease(databases, account_id(1)).__aenter__())
    await ticks()
    refusing = asyncio.create_task(databases.refuse(account_id(1)))
    await ticks()
    opening.cancel()
    world.gate.set()
    await asyncio.wait_for(refusing, 30)
    assert world.open.total() == 0
    await databases.close()


@pytest.mark.parametrize("how", ["refused", "closed"])
async def test_what_is_refused_during_an_opening_grants_no_further_lease(how: str) -> None:
    world = World()
    world.gate = asyncio.Event()
    databases = databases_of(world, 2)
    first = Lease(databases, account_id(1))
    opening = asyncio.create_task(first.__aenter__())
    await ticks()
    refusing = asyncio.create_task(databases.refuse(account_id(1)) if how == "refused" else databases.close())
    await ticks()
    world.gate.set()
    await asyncio.wait_for(opening, 30)
    with pytest.raises(StorageError):
        await Lease(databases, account_id(1)).__aenter__()
    await first.__aexit__(None, None, None)
    await asyncio.wait_for(refusing, 30)
    assert world.open.total() == 0
    await databases.close()


async def test_a_closing_that_fails_is_told_to_who_drops_and_is_forgotten() -> None:
    world = World()
    world.close_fails = True
    databases = databases_of(world, 2)
    async with Lease(databases, account_id(1)):
        pass
    with pytest.raises(StorageError):
        await databases.drop(account_id(1))
    assert databases.open_count == 0
    await databases.close()


async def test_closed_grants_nothing_and_waits_for_the_leases() -> None:
    world = World()
    databases = databases_of(world, 2)
    async with Lease(databases, account_id(1)) as database:
        closing = asyncio.create_task(databases.close())
        await ticks()
        assert not closing.done()
        for number in (1, 2):
            with pytest.raises(StorageError):
                await Lease(databases, account_id(number)).__aenter__()
        await database.batch([])
    await asyncio.wait_for(closing, 30)
    assert world.open.total() == 0


class Mover:
    """Pauses accounts as moves do: each once at a time, and sometimes without patience."""

    def __init__(self, world: World, databases: OpenDatabases) -> None:
        self.world, self.databases = world, databases
        self.paused: set[bytes] = set()

    async def pause(self, account: bytes, drain_s: float) -> None:
        """Pause it for a while, in which it must not be open."""
        if account in self.paused:
            return
        self.paused.add(account)
        with suppress(DatabaseBusy):
            await self.databases.pause(account, drain_s)
            for _ in range(3):
                assert not self.world.open[account], "open though it is paused"
                await self.world.pause()
            self.databases.resume(account)
        self.paused.discard(account)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("max_open", [1, 3, 12])
async def test_storms_of_leases_cancellations_and_refusals(seed: int, max_open: int) -> None:
    world = World(seed)
    dice = random.Random(seed)
    databases = databases_of(world, max_open)
    leased_at_once, mover = 25, Mover(world, databases)

    async def use(account: bytes) -> None:
        try:
            async with Lease(databases, account) as database:
                assert database.account == account
                for _ in range(dice.randrange(4)):
                    await database.batch([])
        except DatabaseMissing:
            pass

    async def walk() -> None:
        for _ in range(60):
            account = account_id(dice.randrange(20))
            roll = dice.random()
            if 0.08 <= roll < 0.13:
                await mover.pause(account, dice.choice([0, 30]))
            elif roll < 0.04:
                await databases.drop(account)
            elif roll < 0.08:
                await databases.refuse(account)
                await world.pause()
                databases.admit(account)
            else:
                task = asyncio.create_task(use(account))
                if dice.random() < 0.3:
                    await world.pause()
                    task.cancel()
                await asyncio.gather(task, return_exceptions=False) if not task.cancelling() else (
                    await asyncio.wait({task})
                )

    await asyncio.wait_for(asyncio.gather(*(walk() for _ in range(leased_at_once))), 60)
    await ticks(100)
    assert databases.leased_count == 0
    assert databases.open_count == world.open.total() <= max_open
    assert world.most_open <= max(max_open, leased_at_once) + leased_at_once + CLOSING_AT_ONCE
    await databases.close()
    assert world.open.total() == databases.open_count == 0
