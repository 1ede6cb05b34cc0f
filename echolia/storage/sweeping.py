"""Migrates the accounts' databases that nobody leases: first a few, then all, slowly beside the clients."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import StorageError
from echolia.storage.registry import FIRST, Quarantined
from echolia.storage.upgrades import OPERATOR

PAGE: Final = 200
AT_ONCE: Final = 4
# So many in a row that cannot be reached just now: neither can the next.
IN_A_ROW: Final = 10
# Between passes, in seconds: what could not be reached is tried again ever more seldom.
REST_S: Final = 60.0
LONGEST_REST_S: Final = 600.0
_OTHER_CODE: Final = frozenset({"migration_changed", "migration_ahead"})


class Progress(NamedTuple):
    """How the migration to `version` stands.

    `behind` and `quarantined` count databases; `tried`, and `failed` of those, since this migration began,
    the first `canary` of which decide whether it goes on; `paused` is by whom; `waiting` says by code how
    many could not be migrated in the last pass and will be tried again.
    """

    version: int
    behind: int
    quarantined: int
    tried: int
    failed: int
    canary: int
    paused: str | None
    waiting: dict[str, int]


class Pace:
    """At most so many a second (0: as many as can be), and half of the time nothing at all."""

    def __init__(
        self,
        per_second: float = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._begun = self._due = clock()

    async def turn(self, count: int) -> None:
        """Wait until the next so many may be begun."""
        if self._per_second:
            await self._sleep(max(0.0, self._due - self._clock()))
        self._begun = self._clock()
        self._due = self._begun + count / self._per_second if self._per_second else self._begun

    def ended(self) -> None:
        """They have ended: whoever is slow, because others work too, is to rest for as long."""
        now = self._clock()
        self._due = max(self._due, now + (now - self._begun))


class Sweep:
    """Goes through the databases that are behind, by the registry; what clients lease migrates on its own."""

    def __init__(self, databases: UserDatabases) -> None:
        self._databases = databases
        self._upgrades = databases.upgrades
        self._registry = databases.registry
        self._pace = Pace()
        self._mine: Callable[[bytes], bool] = lambda _: True
        self._wanted = asyncio.Event()
        self._moved = asyncio.Event()
        self._passing = asyncio.Lock()
        self._runs = False
        self._passes = 0
        self._waiting: Counter[str] = Counter()
        self.behind = self.quarantined = 0

    def only(self, mine: Callable[[bytes], bool]) -> None:
        """Leave all other accounts to the processes whose they are."""
        self._mine = mine

    async def run(self, pace: Pace) -> None:
        """Sweep at this pace whenever there is something to do, until cancelled."""
        self._runs, self._pace, rest_s = True, pace, REST_S
        try:
            while True:
                self._wanted.clear()
                rest_s = min(2 * rest_s, LONGEST_REST_S) if await self._left() else REST_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest_s):
                        await self._wanted.wait()
                    rest_s = REST_S
        finally:
            self._runs, self._pace = False, Pace()

    async def once(self) -> int:
        """One pass through all that are behind; returns how many could not be reached and stay so.

        Raises: `StorageError` of the directory.
        """
        async with self._passing:
            self._waiting.clear()
            try:
                await self.count()
                await self._pass()
                await self.count()
            finally:
                self._passes += 1
                self._tell()
            return sum(self._waiting.values())

    async def status(self) -> Progress:
        """How it stands. Raises: `StorageError`."""
        await self._upgrades.look()
        await self.count()
        return self._progress()

    async def watch(self) -> AsyncIterator[Progress]:
        """Begin a pass now, unless one goes on, and tell how it stands until one has ended.

        Raises: `StorageError`.
        """
        ended = self._passes + 1
        self._wanted.set()
        own = None if self._runs else asyncio.create_task(self.once())
        try:
            yield await self.status()
            while self._passes < ended:
                moved = self._moved
                await moved.wait()
                yield self._progress()
            if own is not None:
                await own
        finally:
            if own is not None:
                own.cancel()
                await asyncio.wait({own})

    async def pause(self) -> None:
        """Migrate nothing any more that can wait, in no server of this directory. Raises: `StorageError`."""
        await self._upgrades.pause(OPERATOR)

    async def resume(self) -> None:
        """Go on; with a new canary where that one had failed. Raises: `StorageError`."""
        await self._upgrades.pause(None)
        self._wanted.set()

    async def retry(self) -> int:
        """Try the quarantined again; returns how many that are. Raises: `StorageError`."""
        released = await self._registry.release()
        self._wanted.set()
        return released

    async def one(self, account: bytes) -> None:
        """Migrate this account's database now, though it be quarantined or all be paused.

        Raises: as `UserDatabases.lease`.
        """
        await self._registry.release(account)
        await self._databases.upgrade(account, forced=True)

    async def failed(self, most: int = 1000, after: bytes = b"") -> list[Quarantined]:
        """The quarantined, by account, at most so many of them. Raises: `StorageError`."""
        return await self._registry.quarantined(most, after)

    async def count(self) -> None:
        """Count what is behind and what is quarantined. Raises: `StorageError`."""
        tally = await self._registry.tally(self._upgrades.latest)
        self.behind, self.quarantined = tally.behind - tally.quarantined, tally.quarantined

    async def _left(self) -> bool:
        """Whether a pass left something that is to be tried again."""
        try:
            return await self.once() > 0
        except StorageError as error:  # of the directory: nobody waits for this
            self._upgrades.trouble(error.code)
            return True

    async def _pass(self) -> None:
        after, in_a_row = FIRST, 0
        while in_a_row < IN_A_ROW and await self._may_go_on():
            page = await self._registry.behind(self._upgrades.latest, PAGE, after)
            if not page:
                break
            after = page[-1]
            mine = [each.account for each in page if self._mine(each.account)]
            while mine and in_a_row < IN_A_ROW and self._upgrades.state.paused is None:
                few = 1 if self._upgrades.in_canary or in_a_row else AT_ONCE
                turn, mine = mine[:few], mine[few:]
                in_a_row = 0 if await self._turn(turn) else in_a_row + len(turn)
                self._tell()

    async def _may_go_on(self) -> bool:
        await self._upgrades.look()
        return self._upgrades.state.paused is None

    async def _turn(self, accounts: list[bytes]) -> bool:
        """Migrate a few at once; whether any of them could be reached."""
        await self._pace.turn(len(accounts))
        reached = await asyncio.gather(*(self._visit(account) for account in accounts))
        self._pace.ended()
        return any(reached)

    async def _visit(self, account: bytes) -> bool:
        try:
            await self._databases.upgrade(account)
        except StorageError as error:
            if error.code == "database_quarantined":
                self.quarantined += 1
                self.behind -= 1
                return True
            if error.code in _OTHER_CODE:
                await self._upgrades.disown()
            self._waiting[error.code] += 1
            return error.code in _OTHER_CODE
        self.behind -= self._upgrades.state.paused is None
        return True

    def _progress(self) -> Progress:
        state = self._upgrades.state
        return Progress(
            version=self._upgrades.latest,
            behind=self.behind,
            quarantined=self.quarantined,
            tried=self._upgrades.tried,
            failed=state.failed,
            canary=state.size,
            paused=state.paused,
            waiting=dict(self._waiting),
        )

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
