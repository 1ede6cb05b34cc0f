"""Which accounts are this process's own: claimed from nobody, shared out evenly, handed over in order.

    another's ──it hands them over, or dies──▶ ours ──what runs ends, databases close──▶ another's

The directory says who owns a slot, and each change of owner is one conditional statement there. A process is
dead when the kernel has freed the lock that it held. The beats are for processes of other hosts, which do not
reach each other yet: docs/decisions/0019-workers.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol

import structlog

from echolia.core.errors import EcholiaError
from echolia.storage.engine import Database, DatabaseElsewhere
from echolia.workers import store
from echolia.workers.store import SLOTS, Owners, Slot, Worker, slot_of

LOOK_S: Final = 1.0
# Who has not beaten for so long is dead to other hosts; itself it stops serving well before.
DEAD_MS: Final = 15_000
SILENT_MS: Final = 9_000


class Census(Protocol):
    """Tells the living from the dead."""

    def lives(self, worker: Worker) -> bool:
        """Whether that process still runs, or may."""
        ...


class Owned:
    """A slot that is ours: by which number, how many requests run in it, whether more may begin."""

    __slots__ = ("fence", "idle", "open", "running")

    def __init__(self, fence: int) -> None:
        self.fence = fence
        self.running = 0
        self.open = False
        self.idle = asyncio.Event()
        self.idle.set()

    def enter(self) -> None:
        """A request of one of its accounts begins."""
        self.running += 1
        self.idle.clear()

    def leave(self) -> None:
        """It has ended."""
        self.running -= 1
        if not self.running:
            self.idle.set()


class Placement:
    """What this process owns. `expected` is how many processes there are to be at least.

    `gained` is awaited with slots before any request of theirs is served; `released` with a slot before
    another process gets it, and has to close its databases.
    """

    def __init__(
        self,
        directory: Database,
        me: Worker,
        census: Census,
        clock_ms: Callable[[], int],
        expected: int,
        gained: Callable[[Collection[int]], Awaitable[None]],
        released: Callable[[int], Awaitable[None]],
    ) -> None:
        self.me = me
        self._db = directory
        self._census = census
        self._clock_ms = clock_ms
        self._expected = expected
        self._gained = gained
        self._released = released
        self._owned: dict[int, Owned] = {}
        self._leaving: set[int] = set()
        self._clearing: dict[int, asyncio.Task[None]] = {}
        self._known = Owners({}, [])
        self._living: dict[bytes, Worker] = {}
        self._looking = asyncio.Lock()
        self._beat_ms = clock_ms()

    @property
    def count(self) -> int:
        """How many slots are ours."""
        return len(self._owned)

    def others(self) -> list[Worker]:
        """The other processes that live, as they were when this one looked last."""
        return [worker for worker in self._living.values() if worker.id != self.me.id]

    def enter(self, account: bytes) -> Owned | None:
        """The account's slot, with one request more in it that is to `leave` it; None: it is not ours."""
        if not self.admits(account):
            return None
        owned = self._owned[slot_of(account)]
        owned.enter()
        return owned

    def admits(self, account: bytes) -> bool:
        """Whether a request of the account could enter now."""
        owned = self._owned.get(slot_of(account))
        return owned is not None and owned.open and not self._silent()

    def here(self, account: bytes) -> bool:
        """Whether the account is ours."""
        return slot_of(account) in self._owned

    def fence(self, account: bytes) -> int:
        """The number by which it is; raises `DatabaseElsewhere` where it is not."""
        owned = self._owned.get(slot_of(account))
        if owned is None:
            raise DatabaseElsewhere
        return owned.fence

    async def owner(self, account: bytes) -> Worker:
        """Whose the account is, as far as is known. What is nobody's becomes ours.

        Raises: `DatabaseElsewhere` where that is not settled yet, `StorageError`.
        """
        number = slot_of(account)
        if (found := self._living_owner(number)) is None:
            async with self._looking:
                await self._look()
                if self._living_owner(number) is None:
                    await self._claim([self._known.slots[number]])
            found = self._living_owner(number)
        if found is None:
            raise DatabaseElsewhere
        return found

    def suspect(self, worker: Worker) -> None:
        """It does not answer, or says that an account is not its own: look again before it is asked again."""
        self._living.pop(worker.id, None)

    async def run(self) -> None:
        """Share the slots out with the others until cancelled; after `join`, before `end`."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._turn()
            except EcholiaError as error:
                # The directory is away: what is ours stays ours until others must take this process for dead.
                structlog.get_logger().warning("placement_failed", code=error.code)

    async def join(self) -> None:
        """Begin: be known, and own a share of what is nobody's. Raises: `StorageError`."""
        await store.join(self._db, self._me_now())
        await self._turn()

    async def end(self) -> None:
        """Give everything up: this process is about to end. Raises: `StorageError`."""
        self._leaving.update(range(SLOTS))
        for number in list(self._owned):
            _ = self._cleared(number)
        while self._clearing:
            await asyncio.wait(self._clearing.values())
        await store.bury(self._db, self.me.id)

    async def _turn(self) -> None:
        await self._beat()
        async with self._looking:
            await self._look()
            await self._bury()
            await self._claim_share()
        for number, to in self._surplus():
            await self._hand_over(number, to)

    async def _beat(self) -> None:
        if self.me.address and not await store.beat(self._db, self.me.id, self._clock_ms()):
            # Others took us for dead: what was ours may be theirs, and the next look tells.
            await store.join(self._db, self._me_now())
        self._beat_ms = self._clock_ms()

    def _silent(self) -> bool:
        return bool(self.me.address) and self._clock_ms() - self._beat_ms > SILENT_MS

    def _me_now(self) -> Worker:
        return self.me._replace(beat_ms=self._clock_ms())

    async def _look(self) -> None:
        """Learn who owns what: take in what was handed to us, give up what others have taken."""
        self._known = await store.look(self._db)
        workers = self._known.workers
        self._living = {
            id_: one for id_, one in workers.items() if id_ == self.me.id or self._census.lives(one)
        }
        ours = {slot.number: slot for slot in self._known.slots if slot.owner == self.me.id}
        for number in self._owned.keys() - ours.keys():
            _ = self._cleared(number)
        kept = self._owned.keys() | self._leaving
        await self._take_in([slot for number, slot in ours.items() if number not in kept])

    async def _bury(self) -> None:
        for id_ in self._known.workers.keys() - self._living.keys():
            structlog.get_logger().warning("worker_died")
            await store.bury(self._db, id_)

    async def _claim_share(self) -> None:
        free = [slot for slot in self._known.slots if slot.owner not in self._living]
        await self._claim(free[: max(0, self._share() - len(self._owned))])

    async def _claim(self, slots: Sequence[Slot]) -> None:
        """Make slots of nobody, or of the dead, ours; others may be faster."""
        got = [
            Slot(slot.number, self.me.id, fence)
            for slot in slots
            if (fence := await store.hand(self._db, slot, self.me.id)) is not None
        ]
        for slot in got:
            self._known.slots[slot.number] = slot
        await self._take_in(got)

    async def _take_in(self, slots: Collection[Slot]) -> None:
        self._owned.update({slot.number: Owned(slot.fence) for slot in slots})
        if slots:
            await self._gained([slot.number for slot in slots])
        for slot in slots:
            if slot.number not in self._clearing:
                self._owned[slot.number].open = True

    def _share(self) -> int:
        return -(-SLOTS // max(len(self._living), self._expected))

    def _surplus(self) -> list[tuple[int, bytes]]:
        """What is over our share, and who has less than theirs."""
        have = Counter(slot.owner for slot in self._known.slots)
        share, surplus = self._share(), []
        for number in sorted(self._owned)[share:]:
            to = min(self._living, key=lambda worker: have[worker])
            if have[to] >= min(share, have[self.me.id] - 1):
                break
            have[to] += 1
            have[self.me.id] -= 1
            surplus.append((number, to))
        return surplus

    async def _hand_over(self, number: int, to: bytes) -> None:
        owned = self._owned.get(number)
        if owned is None or not owned.open:
            return
        self._leaving.add(number)
        try:
            # Whoever is cancelled here must not leave it half cleared.
            await asyncio.shield(self._cleared(number))
            fence = await store.hand(self._db, Slot(number, self.me.id, owned.fence), to)
        finally:
            self._leaving.discard(number)
        if fence is not None:
            self._known.slots[number] = Slot(number, to, fence)

    def _cleared(self, number: int) -> asyncio.Task[None]:
        """The task that lets what runs in a slot end, and closes its databases; then it is ours no more."""
        task = self._clearing.get(number)
        if task is None:
            task = asyncio.create_task(self._clear(number))
            self._clearing[number] = task
            task.add_done_callback(lambda _: self._clearing.pop(number))
        return task

    async def _clear(self, number: int) -> None:
        owned = self._owned[number]
        owned.open = False
        await owned.idle.wait()
        del self._owned[number]  # from now on nothing opens its databases
        await self._released(number)

    def _living_owner(self, number: int) -> Worker | None:
        if not self._known.slots:
            return None
        owner = self._known.slots[number].owner
        return None if owner is None else self._living.get(owner)
