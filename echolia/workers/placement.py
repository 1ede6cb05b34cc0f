"""Which accounts are this process's own: claimed from nobody, shared out evenly, handed over in order.

    another's ──it hands them over, or dies──▶ ours ──what runs ends, databases close──▶ another's

The directory says who owns a slot, and each change of owner is one conditional statement there. A process is
dead to those of its host when the kernel has freed the lock that it held; to other hosts when it has not
beaten for long. Itself it has stopped serving well before that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from echolia.core.errors import EcholiaError
from echolia.storage.engine import Database, DatabaseElsewhere
from echolia.workers import store
from echolia.workers.store import SLOTS, Owners, Slot, Worker, slot_of


class Pulse(NamedTuple):
    """How often a process beats and looks; how silent it serves nobody, how silent it is dead to others."""

    look_s: float = 1.0
    silent_ms: int = 9_000
    dead_ms: int = 15_000


USUAL: Final = Pulse()


def pulse_of(takeover_s: float) -> Pulse:
    """The pulse of processes that are dead after so many seconds."""
    return Pulse(min(USUAL.look_s, takeover_s / 15), round(takeover_s * 600), round(takeover_s * 1000))


class Census(Protocol):
    """Tells the living from the dead, by their `pulse`."""

    pulse: Pulse

    def look(self, workers: Collection[Worker], asked_ms: int, told_ms: int) -> None:
        """These were in the directory, which was asked at that time and answered at this."""
        ...

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

    `clock_ms` counts on while the machine sleeps, and never back. `met` hears who lives at each look;
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
        met: Callable[[Collection[bytes]], None] = lambda _: None,
    ) -> None:
        self.me = me
        self._db = directory
        self._census = census
        self._clock_ms = clock_ms
        self._expected = expected
        self._gained = gained
        self._released = released
        self._met = met
        self._pulse = census.pulse
        self._owned: dict[int, Owned] = {}
        self._leaving: set[int] = set()
        self._preparing: set[int] = set()
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

    def enter(self, account: bytes, *, preparing: bool = False) -> Owned | None:
        """The account's slot, with one request more in it that is to `leave` it; None: it is not ours.

        What prepares slots, as `gained` does, enters them before others do.
        """
        early = preparing and slot_of(account) in self._preparing and not self._silent()
        if not early and not self.admits(account):
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
        return slot_of(account) in self._owned and not self._silent()

    def fence(self, account: bytes) -> int:
        """The number by which it is; raises `DatabaseElsewhere` where it is not."""
        owned = self._owned.get(slot_of(account))
        if owned is None or self._silent():
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
        """Live, and share the slots out with the others, until cancelled; after `join`, before `end`."""
        # Apart: what is given away waits for requests to end, what is new for work that was interrupted, and
        # who does not beat meanwhile would be taken for dead.
        await asyncio.gather(self._again(self._beat), self._again(self._turn), self._again(self._share_out))

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._pulse.look_s)
            try:
                await work()
            except EcholiaError as error:
                # The directory is away: what is ours is served until others might take this process for dead.
                structlog.get_logger().warning("placement_failed", code=error.code)

    async def join(self) -> None:
        """Begin: be known, and own a share of what is nobody's. Raises: `StorageError`."""
        begun_ms = self._clock_ms()
        await self._join(begun_ms)
        self._beat_ms = begun_ms
        await self._turn()

    async def end(self) -> None:
        """Give everything up: this process is about to end. Raises: `StorageError`."""
        self._leaving.update(range(SLOTS))
        for number in list(self._owned):
            _ = self._cleared(number)
        while self._clearing:
            await asyncio.wait(self._clearing.values())
        await store.leave(self._db, self.me.id)

    async def _turn(self) -> None:
        async with self._looking:
            await self._look()
            await self._claim_share()

    async def _share_out(self) -> None:
        """Give away what is over our share: all that is idle at once, then what is in use."""
        surplus = self._surplus()
        idle = [(number, to) for number, to in surplus if not self._owned[number].running]
        await self._hand_over(idle)
        for one in surplus:
            if one not in idle:
                await self._hand_over([one])

    async def _beat(self) -> None:
        if not self.me.address:
            return
        begun_ms = self._clock_ms()  # others count from when they see it: from later on
        if not await store.beat(self._db, self.me.id, begun_ms):
            # Others took us for dead: nothing is ours any more, and before we live again we have to know it.
            async with self._looking:
                await self._look()
                await self._join(begun_ms)
        self._beat_ms = begun_ms

    async def _join(self, now_ms: int) -> None:
        await store.join(self._db, self.me._replace(beat_ms=now_ms))

    def _silent(self) -> bool:
        return bool(self.me.address) and self._clock_ms() - self._beat_ms > self._pulse.silent_ms

    async def _look(self) -> None:
        """Learn who owns what: take in what was handed to us, give up what others have taken."""
        asked_ms = self._clock_ms()
        self._known = await store.look(self._db)
        workers = self._known.workers
        self._census.look(workers.values(), asked_ms, self._clock_ms())
        self._living = {
            id_: one for id_, one in workers.items() if id_ == self.me.id or self._census.lives(one)
        }
        await self._bury()
        self._met(self._living)
        ours = {slot.number: slot for slot in self._known.slots if slot.owner == self.me.id}
        for number, owned in tuple(self._owned.items()):
            # By another number it was another's meanwhile: what is remembered of it is of before.
            if number not in ours or ours[number].fence != owned.fence:
                _ = self._cleared(number)
        kept = self._owned.keys() | self._leaving
        await self._take_in([slot for number, slot in ours.items() if number not in kept])

    async def _bury(self) -> None:
        for id_ in self._known.workers.keys() - self._living.keys():
            if await store.bury(self._db, self._known.workers[id_]):
                structlog.get_logger().warning("worker_died")
            else:  # it has beaten since it was looked at
                self._living[id_] = self._known.workers[id_]

    async def _claim_share(self) -> None:
        free = [slot for slot in self._known.slots if slot.owner not in self._living]
        await self._claim(free[: max(0, self._share() - len(self._owned))])

    async def _claim(self, slots: Sequence[Slot]) -> None:
        """Make slots of nobody, or of the dead, ours; others may be faster."""
        got = await store.hand(self._db, [(slot, self.me.id) for slot in slots])
        for slot in got:
            self._known.slots[slot.number] = slot
        await self._take_in(got)

    async def _take_in(self, slots: Collection[Slot]) -> None:
        self._owned.update({slot.number: Owned(slot.fence) for slot in slots})
        numbers = {slot.number for slot in slots}
        self._preparing |= numbers
        try:
            if slots:
                await self._gained(list(numbers))
        finally:
            self._preparing -= numbers
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

    async def _hand_over(self, surplus: Sequence[tuple[int, bytes]]) -> None:
        """Pass slots on, each by its number and to whom, once nothing runs in any of them."""
        passed = [
            (Slot(number, self.me.id, owned.fence), to)
            for number, to in surplus
            if (owned := self._owned.get(number)) is not None and owned.open
        ]
        numbers = {slot.number for slot, _ in passed}
        self._leaving |= numbers
        try:
            # Whoever is cancelled here must not leave one half cleared.
            await asyncio.shield(asyncio.gather(*(self._cleared(number) for number in numbers)))
            handed = await store.hand(self._db, passed)
        finally:
            self._leaving -= numbers
        for slot in handed:
            self._known.slots[slot.number] = slot

    def _cleared(self, number: int) -> asyncio.Task[None]:
        """The task that lets what runs in a slot end, and closes its databases; then it is ours no more."""
        task = self._clearing.get(number)
        if task is None:
            self._owned[number].open = False
            task = asyncio.create_task(self._clear(number))
            self._clearing[number] = task
            task.add_done_callback(lambda _: self._clearing.pop(number))
        return task

    async def _clear(self, number: int) -> None:
        await self._owned[number].idle.wait()
        del self._owned[number]  # from now on nothing opens its databases
        await self._released(number)

    def _living_owner(self, number: int) -> Worker | None:
        if not self._known.slots:
            return None
        owner = self._known.slots[number].owner
        return None if owner is None else self._living.get(owner)
