"""Brings accounts' databases to the code's version, leaves alone what fails, and stops where too much does.

behind ──a lease, the sweep──▶ at the last version
   └─the step failed for what lies in the data──▶ quarantined ──retried──▶ behind
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from echolia.storage.engine import Database, StorageError, Value
from echolia.storage.migrate import Migration, apply, pending
from echolia.storage.registry import Registry, SweepState

# The oldest version of an account's database that the features of this code read and write. From version 3 on
# it is the last but one, so that a database may wait for its migration: docs/decisions/0018-upgrades.md.
SERVED_SINCE: Final = 2

# The canary is a hundredth of what is behind, within these bounds; as large a share of it may fail.
CANARY_LEAST: Final = 10
CANARY_MOST: Final = 1000
CANARY_SHARE: Final = 100
FAILING_SHARE: Final = 10
# After the canary, successes are remembered this many at a time.
_REMEMBERED_AT_ONCE: Final = 100

OPERATOR: Final = "operator"
CANARY: Final = "canary"

# The engine's own words for what the same step would meet again in the same database.
_IN_THE_DATA: Final = (
    "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH",
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_ERROR",
)


def lies_in_the_data(error: StorageError) -> bool:
    """Whether a step that failed so would fail again, and not for want of room, a lock or a connection."""
    return error.code == "storage_constraint" or error.detail.startswith(_IN_THE_DATA)


def canary_size(behind: int) -> int:
    """Of how many databases a canary is where so many are behind."""
    return min(behind, max(CANARY_LEAST, min(CANARY_MOST, behind // CANARY_SHARE)))


class Trouble(NamedTuple):
    """What whoever runs the server should hear of: a migration failed with this code, or (None) all of them
    are paused for it, as the state says.
    """

    code: str | None
    state: SweepState


class Upgrades:
    """The migrations of the accounts' databases as they stand in this process.

    `begin` takes up what the registry remembers of them. While they are paused, what the code serves without
    its last migration is left as it is, and what is older is brought to just what the code serves:
    `served_since`, which whoever cannot do without a later version may raise before.
    """

    def __init__(self, registry: Registry, migrations: Sequence[Migration]) -> None:
        self.registry = registry
        self._migrations = migrations
        self.served_since = min(SERVED_SINCE, len(migrations))
        self._state = SweepState(len(migrations))
        self._unremembered = 0
        self._hears: Callable[[Trouble], None] = lambda _: None
        self.migrated_total = 0
        self.quarantined_total = 0

    @property
    def latest(self) -> int:
        """The last version."""
        return len(self._migrations)

    @property
    def state(self) -> SweepState:
        """How the migration to the last version stands, as far as this process knows."""
        return self._state

    @property
    def tried(self) -> int:
        """How many were tried since the migration to that version began."""
        return self._state.tried + self._unremembered

    @property
    def in_canary(self) -> bool:
        """Whether its first ones are still to show that the migration works."""
        return self._state.tried < self._state.size

    def on_trouble(self, hears: Callable[[Trouble], None]) -> None:
        """Tell this one from now on."""
        self._hears = hears

    def trouble(self, code: str | None) -> None:
        """Tell of it."""
        self._hears(Trouble(code, self._state))

    async def begin(self) -> None:
        """Take up what was remembered; a migration to another version begins anew, with a canary of its own.

        Only an operator's pause outlives that. Raises: `StorageError`.
        """
        state = await self.registry.sweep()
        if state.version != self.latest:
            paused = state.paused if state.paused == OPERATOR else None
            behind = (await self.registry.tally(self.latest)).behind
            state = SweepState(self.latest, paused, canary_size(behind))
            await self.registry.put_sweep(state)
        self._state = state

    async def look(self) -> None:
        """Learn what other servers of the same directory did meanwhile. Raises: `StorageError`."""
        state = await self.registry.sweep()
        if state.version == self.latest:
            self._state = state

    async def pause(self, by: str | None) -> None:
        """Apply no migration any more that can wait, or (None) go on, with a new canary if too many failed.

        Raises: `StorageError`.
        """
        await self.look()
        if by is None and _too_many(self._state):
            behind = (await self.registry.tally(self.latest)).behind
            await self.registry.put_sweep(SweepState(self.latest, None, canary_size(behind)))
        else:
            await self.registry.pause_sweep(by)
        await self.look()

    async def bring(
        self,
        account: bytes,
        db: Database,
        applied: Sequence[tuple[Value, ...]],
        known: int,
        *,
        forced: bool = False,
    ) -> StorageError | None:
        """Apply what an open database lacks, given the rows of `migrate.APPLIED` and the version `known`.

        `forced` applies it though migrations are paused.

        Returns why it stays behind although the code serves it: it was tried, and will be again.
        Raises: `database_quarantined`, `migration_ahead`, `migration_changed`, `StorageError`.
        """
        steps, version = pending(self._migrations, applied), len(applied)
        if self._state.paused and not forced:
            steps = steps[: max(self.served_since - version, 0)]
        failure: StorageError | None = None
        try:
            for step in steps:
                await apply(db, [step])
                version = step.version
        except StorageError as error:
            failure = error
        if failure is not None and lies_in_the_data(failure):
            await self._quarantine(account, version, failure)
        if version != known:
            await self.registry.migrated(account, version)
            if version == self.latest:
                await self._count(failed=False)
        if failure is not None and version < self.served_since:
            raise failure
        return failure

    async def disown(self) -> None:
        """Count one that has other migrations than the code: it is left as it is. Raises: `StorageError`."""
        await self._count(failed=True)

    async def _quarantine(self, account: bytes, version: int, failure: StorageError) -> None:
        await self.registry.migrated(account, version, failure.code)
        self.quarantined_total += 1
        self.trouble(failure.code)
        await self._count(failed=True)
        raise StorageError(failure.code, code="database_quarantined")

    async def _count(self, *, failed: bool) -> None:
        """Remember one more; where more failed than may, apply no further migration."""
        self.migrated_total += not failed
        self._unremembered += 1
        if not (failed or self.in_canary or self._unremembered >= _REMEMBERED_AT_ONCE):
            return
        tried, self._unremembered = self._unremembered, 0
        state = await self.registry.count_sweep(self.latest, tried, int(failed))
        if state.version != self.latest:
            return  # servers of another version share the directory, and go by their own
        self._state = state
        if state.paused is None and _too_many(state):
            self.trouble(None)
            await self.pause(CANARY)


def _too_many(state: SweepState) -> bool:
    """Whether more failed than may, of those tried or of a canary."""
    return state.failed * FAILING_SHARE > max(state.size, state.tried)
