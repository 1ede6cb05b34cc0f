"""Who owns what: shared out evenly, taken over from the dead, never anybody's twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path

import pytest

from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, DatabaseElsewhere, Statement
from echolia.storage.fencing import fenced
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import user_path
from echolia.workers import store
from echolia.workers.placement import USUAL, Placement
from echolia.workers.store import SLOTS, Worker
from tests.support.file_databases import file_databases

HOST = b"h" * 16


class Town:
    """Processes over one directory; `dead` are those that have ended without a word."""

    pulse = USUAL

    def __init__(self, directory: Database) -> None:
        self.directory = directory
        self.dead: set[bytes] = set()
        self.now_ms = 1_000_000
        self.gained: dict[bytes, list[int]] = {}
        self.preparing: Callable[[Placement], Awaitable[None]] | None = None
        self.released: list[tuple[bytes, int]] = []

    def look(self, workers: Collection[Worker], asked_ms: int, told_ms: int) -> None:
        """See `Census.look`."""

    def lives(self, worker: Worker) -> bool:
        """See `Census.lives`."""
        return worker.id not in self.dead

    def placement(
        self, name: str, expected: int = 1, address: str = "", clock_ms: Callable[[], int] | None = None
    ) -> Placement:
        """A process, by the town's clock or one of its own."""
        me = Worker(name.encode().ljust(16), HOST, address)

        async def gained(slots: Collection[int]) -> None:
            self.gained.setdefault(me.id, []).extend(slots)
            if self.preparing is not None:
                await self.preparing(placement)

        async def released(slot: int) -> None:
            self.released.append((me.id, slot))

        clock_ms = clock_ms or (lambda: self.now_ms)
        placement = Placement(self.directory, me, self, clock_ms, expected, gained, released)
        return placement

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


async def turn(one: Placement) -> None:
    """Look around and claim, then give away."""
    await one._turn()
    await one._share_out()


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
            await turn(one)
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
    await turn(one)
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
    turning = asyncio.create_task(turn(one))
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
    await turn(two)
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


async def test_what_was_another_s_meanwhile_is_begun_anew(town: Town) -> None:
    one, two = town.placement("one", expected=2, address="a:1"), town.placement("two", 2, "b:1")
    await one.join()
    await two.join()
    former = one.fence(account(1))
    # While one looks away, the slot goes to the other and back.
    known = (await store.look(town.directory)).slots[1]
    for to in (two.me.id, one.me.id):
        [known] = await store.hand(town.directory, [(known, to)])
    town.gained.clear()
    await turn(one)
    assert one.enter(account(1)) is None
    for _ in range(5):
        await asyncio.sleep(0)
    assert (one.me.id, 1) in town.released, "what was remembered of it is of before"
    await turn(one)
    assert town.gained[one.me.id] == [1]
    assert one.fence(account(1)) == former + 2


async def test_an_owner_whose_clock_stands_still_is_stopped_by_its_number(town: Town, tmp_path: Path) -> None:
    driver, ours = SqliteDriver(2), account(1)
    databases = file_databases(tmp_path, driver)
    await databases.create(ours, [Statement("INSERT INTO account VALUES (1, ?, 7, 0)", (ours,))])
    former = town.placement("former", address="a:1", clock_ms=lambda: 0)
    await former.join()
    theirs = await fenced(await driver.open(user_path(tmp_path, ours)), former.fence(ours))
    town.dead.add(former.me.id)
    owner = town.placement("owner", expected=2, address="b:1")
    await owner.join()
    assert (await owner.owner(ours)).id == owner.me.id
    place = former.enter(ours)
    assert place is not None, "it believes that it has just beaten"
    place.leave()
    its_own = await fenced(await driver.open(user_path(tmp_path, ours)), owner.fence(ours))
    write = Statement("UPDATE account SET epoch = epoch + 1")
    with pytest.raises(DatabaseElsewhere):
        await theirs.batch([write])
    await its_own.batch([write])
    for db in (theirs, its_own):
        await db.close()
    await driver.close()


async def test_who_has_beaten_since_it_was_looked_at_is_not_buried(town: Town) -> None:
    one = town.placement("one", address="a:1")
    await one.join()
    before = (await store.look(town.directory)).workers[one.me.id]
    town.now_ms += 1
    await one._beat()
    assert not await store.bury(town.directory, before)
    assert await town.owners() == {one.me.id: SLOTS}
    assert await store.bury(town.directory, (await store.look(town.directory)).workers[one.me.id])
    assert await town.owners() == {None: SLOTS}


async def test_who_could_not_look_since_it_was_buried_serves_nobody(town: Town) -> None:
    one = town.placement("one", address="a:1")
    await one.join()
    await store.leave(town.directory, one.me.id)
    town.now_ms += USUAL.silent_ms + 1
    await one._beat()
    assert [one.enter(account(slot)) for slot in range(SLOTS)] == [None] * SLOTS
    await turn(one)
    assert (await store.look(town.directory)).workers.keys() == {one.me.id}


async def test_it_beats_while_it_gives_away_what_is_in_use(town: Town) -> None:
    one = town.placement("one", address="a:1")
    await one.join()
    place = one.enter(account(200))
    await town.placement("two", address="b:1").join()
    await one._turn()
    sharing = asyncio.create_task(one._share_out())
    while one.admits(account(200)):  # noqa: ASYNC110  # until it lets nobody in any more
        await asyncio.sleep(0)
    town.now_ms += USUAL.silent_ms + 1
    await one._beat()
    assert not sharing.done()
    assert one.enter(account(1)) is not None
    assert place is not None
    place.leave()
    await sharing


async def test_only_what_prepares_a_slot_enters_it_early(town: Town) -> None:
    entered: list[bool] = []

    async def preparing(one: Placement) -> None:
        for early in (False, True):
            place = one.enter(account(7), preparing=early)
            entered.append(place is not None)
            if place is not None:
                place.leave()

    town.preparing = preparing
    one = town.placement("one")
    await one.join()
    assert entered == [False, True]


async def test_who_ends_leaves_everything_to_the_others(town: Town) -> None:
    one, two = town.placement("one", expected=2), town.placement("two", expected=2)
    await one.join()
    await two.join()
    await two.end()
    assert two.count == 0
    assert len(town.released) == 128
    await turn(one)
    assert set((await store.look(town.directory)).workers) == {one.me.id}
    assert (await one.owner(account(255))).id == one.me.id
