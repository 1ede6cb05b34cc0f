"""Who has lost an account while moving it, and has not noticed, spoils nothing of the next owner's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from echolia.storage.databases import FILES
from echolia.storage.engine import DatabaseBusy, DatabaseElsewhere, Statement
from echolia.storage.moving import Moves
from echolia.storage.registry import DirectoryRegistry, Place
from tests.storage.conftest import ANNA, BEN, begin, belongs_to, frames, put
from tests.support.two_places import OTHER, Process, two_places

FORMER, OWNER = 3, 4
Then = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Nothing happens."""


class Registry(DirectoryRegistry):
    """The directory's; at a step the process that asks is suspended, and something happens meanwhile."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.directory)
        self.before_switch: Then = nothing
        self.after_moving: Then = nothing
        self.after_place: Then = nothing

    async def place(self, account: bytes) -> Place:
        """Suspended once it knows."""
        place = await super().place(account)
        await self.after_place()
        return place

    async def moving(self, account: bytes, home: str, to: str | None) -> bool:
        """Suspended once it is written."""
        done = await super().moving(account, home, to)
        await self.after_moving()
        return done

    async def switch(self, account: bytes, home: str, to: str, fence: int | None = None) -> bool:
        """Suspended before it is asked."""
        await self.before_switch()
        return await super().switch(account, home, to, fence)


class Handover:
    """Two processes on the same places: a former owner of the account and the next one."""

    def __init__(self, former: Process, owner: Process) -> None:
        self.former, self.owner = former, owner
        self.registry = Registry(former)
        self.moves = Moves(former.databases, self.registry)
        former.databases.fence = lambda _: FORMER
        owner.databases.fence = lambda _: OWNER

    async def slot(self, fence: int) -> None:
        """From now on the account's slot has this number."""
        sql = (
            "INSERT INTO slots (slot, owner, fence) VALUES (?1, NULL, ?2)"
            " ON CONFLICT (slot) DO UPDATE SET fence = ?2"
        )
        await self.owner.directory.batch([Statement(sql, (ANNA[0], fence))])

    async def home(self) -> Place:
        """Where the account is."""
        return await self.owner.registry.place(ANNA)

    def lose(self) -> None:
        """The former owner knows, as one does who has not beaten for long."""

        def fence(_: bytes) -> int:
            raise DatabaseElsewhere

        self.former.databases.fence = fence


@pytest.fixture
async def handover(tmp_path: Path) -> AsyncIterator[Handover]:
    """The former owner has the account still, with some runs in it."""
    async with two_places(tmp_path) as former, two_places(tmp_path) as owner:
        both = Handover(former, owner)
        await both.slot(FORMER)
        await begin(former)
        yield both


async def test_a_former_owner_switches_nothing(handover: Handover) -> None:
    before = await frames(handover.former.databases, ANNA)

    async def meanwhile() -> None:
        await handover.slot(OWNER)
        await put(handover.owner.databases, ANNA, b"acknowledged by the next owner", 1000)

    handover.registry.before_switch = meanwhile
    with pytest.raises(DatabaseBusy):
        await handover.moves.move(ANNA, OTHER)
    assert (await handover.home()).home == FILES
    kept = await frames(handover.owner.databases, ANNA)
    assert kept == [*before, b"acknowledged by the next owner"]


async def test_an_owner_switches(handover: Handover) -> None:
    before = await frames(handover.former.databases, ANNA)
    await handover.moves.move(ANNA, OTHER)
    assert (await handover.home()).home == OTHER
    assert await frames(handover.former.databases, ANNA) == before


async def test_a_former_owner_writes_nothing_into_what_the_next_has_copied(handover: Handover) -> None:
    before = await frames(handover.former.databases, ANNA)

    async def meanwhile() -> None:
        handover.registry.after_moving = nothing
        await handover.former.databases.drop(ANNA)
        await handover.slot(OWNER)
        await handover.owner.moves.move(ANNA, OTHER)
        await put(handover.owner.databases, ANNA, b"acknowledged by the next owner", 1000)

    handover.registry.after_moving = meanwhile
    with pytest.raises(DatabaseElsewhere):
        await handover.moves.move(ANNA, OTHER)
    assert (await handover.home()).home == OTHER
    await handover.owner.databases.drop(ANNA)
    kept = await frames(handover.owner.databases, ANNA)
    assert kept == [*before, b"acknowledged by the next owner"]


async def test_who_knows_that_it_is_lost_removes_nothing(handover: Handover) -> None:
    await handover.owner.directory.batch(
        [Statement("UPDATE databases SET leaving = ? WHERE account = ?", (FILES, ANNA))]
    )
    looked = 0

    async def meanwhile() -> None:
        nonlocal looked
        looked += 1
        handover.lose()

    handover.registry.after_place = meanwhile
    with pytest.raises(DatabaseElsewhere):
        await handover.moves.move(ANNA, OTHER)
    assert looked == 1
    assert await handover.owner.is_at(FILES, ANNA)


async def kept(process: Process) -> str:
    """A snapshot of a further account, which has one run: its name."""
    await process.databases.create(BEN, [belongs_to(BEN)])
    await put(process.databases, BEN, b"kept")
    async with process.databases.lease(BEN) as leased:
        return (await process.operator.snapshots.take(BEN, leased.db)).name


async def test_who_knows_that_it_is_lost_replaces_nothing(handover: Handover) -> None:
    name = await kept(handover.former)
    await put(handover.former.databases, BEN, b"acknowledged", 2)

    def lose(what: str, _done: int, _of: int | None) -> None:
        if what == "restored":  # about to be
            handover.lose()

    with pytest.raises(DatabaseElsewhere):
        await handover.former.operator.restoring.restore(BEN, name, True, lose)
    assert await frames(handover.owner.databases, BEN) == [b"kept", b"acknowledged"]


async def test_an_owner_restores(handover: Handover) -> None:
    name = await kept(handover.former)
    await put(handover.former.databases, BEN, b"acknowledged", 2)
    await handover.former.operator.restoring.restore(BEN, name, True, lambda *_: None)
    assert await frames(handover.former.databases, BEN) == [b"kept"]
