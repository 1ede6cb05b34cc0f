"""Who owns what: shared out evenly, taken over from the dead, never anybody's twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, DatabaseElsewhere
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.workers import store
from echolia.workers.placement import USUAL, Placement
from echolia.workers.store import SLOTS, Worker

HOST = b"h" * 16


class Town:
    """Processes over one directory; `dead` are those that have ended without a word."""

    pulse = USUAL

    def __init__(self, directory: Database) -> None:
        self.directory = directory
        self.dead: set[bytes] = set()
        self.now_ms = 1_000_000
        self.gained: dict[bytes, list[int]] = {}
        self.released: list[tuple[bytes, int]] = []

    def look(self, workers: Collection[Worker], asked_ms: int, told_ms: int) -> None:
        """See `Census.look`."""

    def lives(self, worker: Worker) -> bool:
        """See `Census.lives`."""
        return worker.id not in self.dead

    def placement(self, name: str, expected: int = 1, address: str = "") -> Placement:
        """A process."""
        me = Worker(name.encode().ljust(16), HOST, address)

        async def gained(slots: Collection[int]) -> None:
            self.gained.setdefault(me.id, []).extend(slots)

        async def released(slot: int) -> None:
            self.released.append((me.id, slot))

        return Placement(self.directory, me, self, lambda: self.now_ms, expected, gained, released)

    async def owners(self) -> Counter[bytes | None]:
        """How many slots each has."""
        return Counter(slot.owner for slot in (await store.look(self.directory)).slots)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A directory without processes."""
    driver = SqliteDriver(2)
    directory = await open_directory(tmp_path / "directory.db", driver, load_migrations("directory"))
    yield Town(directory)
    await directory.close()
    await driver.close()


def account(slot: int) -> bytes:
    """An account of that slot."""
    return bytes([slot]) + b"account".ljust(15)


async def test_one_alone_owns_everything(town: Town) -> None:
    one = town.placement("one")
    await one.join()
    assert one.count == SLOTS
    assert sorted(town.gained[one.me.id]) == list(range(SLOTS))
    place = one.enter(account(7))
    assert place is not None
    place.leave()


async def test_those_who_come_later_get_their_share(town: Town) -> None:
    crew = [town.placement(name) for name in ("one", "two", "three", "four")]
    for one in crew:
        await one.join()
    for _ in range(4):
        for one in crew:
            await one._turn()
    assert sorted((await town.owners()).values()) == [64, 64, 64, 64]
    assert sorted(one.count for one in crew) == [64, 64, 64, 64]
    for slot in range(SLOTS):
        assert sum(one.enter(account(slot)) is not None for one in crew) == 1


async def test_those_who_are_expected_leave_room_for_each_other(town: Town) -> None:
    crew = [town.placement(name, expected=4) for name in ("one", "two", "three", "four")]
    for one in crew:
        await one.join()
    assert [one.count for one in crew] == [64, 64, 64, 64]
    assert town.released == []


async def test_what_nobody_has_is_claimed_when_it_is_asked_for(town: Town) -> None:
    one, two = town.placement("one", expected=4), town.placement("two", expected=4)
    await one.join()
    await two.join()
    assert (await two.owner(account(200))).id == two.me.id
    assert (await one.owner(account(200))).id == two.me.id
    assert two.enter(account(200)) is not None
    assert one.enter(account(200)) is None


async def test_the_dead_are_inherited(town: Town) -> None:
    one, two = town.placement("one", expected=2), town.placement("two", expected=2)
    await one.join()
    await two.join()
    former = two.fence(account(255))
    town.dead.add(two.me.id)
    await one._turn()
    assert (await one.owner(account(255))).id == one.me.id
    assert one.fence(account(255)) == former + 1
    assert await town.owners() == {one.me.id: 129, None: 127}, "the other share waits for who comes next"


async def test_of_many_who_claim_one_gets_it(town: Town) -> None:
    crew = [town.placement(str(n), expected=300) for n in range(8)]
    await asyncio.gather(*(one.join() for one in crew))
    found = await asyncio.gather(*(one.owner(account(9)) for one in crew), return_exceptions=True)
    owners = {one.id for one in found if isinstance(one, Worker)}
    assert len(owners) == 1
    assert all(isinstance(one, Worker | DatabaseElsewhere) for one in found)


async def test_it_is_handed_over_once_nothing_runs_in_it(town: Town) -> None:
    one, two = town.placement("one"), town.placement("two")
    await one.join()
    places = [one.enter(account(slot)) for slot in range(SLOTS)]
    await two.join()
    turning = asyncio.create_task(one._turn())
    while (place := one.enter(account(128))) is not None:  # until it lets nobody in any more
        place.leave()
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not turning.done()
    assert town.released == []
    for place in places:
        assert place is not None
        place.leave()
    await turning
    await two._turn()
    assert (one.count, two.count) == (128, 128)
    assert {slot for _, slot in town.released} == set(range(128, 256))


async def test_who_was_taken_for_dead_gives_up_what_others_have(town: Town) -> None:
    one = town.placement("one", address="a:1")
    two = town.placement("two", expected=2, address="b:1")
    await one.join()
    town.now_ms += USUAL.silent_ms + 1
    assert one.enter(account(1)) is None, "who has not beaten for so long serves nobody"
    with pytest.raises(DatabaseElsewhere):
        one.fence(account(1))
    town.now_ms += USUAL.dead_ms
    town.dead.add(one.me.id)
    await two.join()
    assert (await two.owner(account(1))).id == two.me.id
    await one._beat()
    assert one.enter(account(1)) is None, "it lives again, and knows that this is not its own any more"
    await asyncio.sleep(0)
    assert not one.here(account(1))
    with pytest.raises(DatabaseElsewhere):
        one.fence(account(1))


async def test_who_ends_leaves_everything_to_the_others(town: Town) -> None:
    one, two = town.placement("one", expected=2), town.placement("two", expected=2)
    await one.join()
    await two.join()
    await two.end()
    assert two.count == 0
    assert len(town.released) == 128
    await one._turn()
    assert set((await store.look(town.directory)).workers) == {one.me.id}
    assert (await one.owner(account(255))).id == one.me.id
