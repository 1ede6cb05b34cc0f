"""Whatever was written and wherever compaction stops: what is served adds up to what the definition says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echolia.core import push, runs
from echolia.core.errors import EcholiaError
from echolia.core.ids import unb64
from echolia.core.positions import LogPosition
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Result, Statement, StorageError
from echolia.sync import store
from echolia.sync.compaction import DAY_MS, Compaction
from echolia.sync.models import Ack
from echolia.sync.open_log import OpenAccount
from echolia.sync.open_log import open_log as opened_log
from echolia.sync.walk import Walking
from tests.support.live_changes import Logged, changes_of, checkpoint_of, live_at
from tests.sync.conftest import ACCOUNT, PATIENCE, Log, open_log
from tests.sync.test_checkpoints import STREAM, put
from tests.sync.test_compaction import base_items
from tests.sync.test_pull import at, pull

OBJECTS = 3


class Wish(NamedTuple):
    """One change to write: which object, a state or not, what its context says of the other device."""

    object: int
    state: bool
    other: int


class Ends(NamedTuple):
    """The unit of work at which compaction ends, done or not; with the whole server or not; how large pages
    may be.
    """

    after: int
    done: bool
    restart: bool
    max_bytes: int


Run = tuple[bool, list[Wish]]


class Interrupted(StorageError):
    """The server ended here."""


wishes = st.lists(
    st.builds(Wish, st.integers(1, OBJECTS), st.booleans(), st.integers(0, 6)), min_size=1, max_size=4
)
# Runs by the laptop or the phone; contexts say anything, also of what is not in the log yet.
histories = st.lists(st.tuples(st.booleans(), wishes), min_size=1, max_size=8)
cut_offs = st.one_of(st.none(), st.integers(0, 8))
endings = st.builds(
    Ends, st.integers(1, 40), st.booleans(), st.booleans(), st.sampled_from([1, 900, 8 << 20])
)


@dataclass
class Stopping:
    """Accounts whose databases fail once, at a unit of work: before it is done, or right after."""

    databases: UserDatabases
    left: int
    done: bool

    @asynccontextmanager
    async def lease(self, account: bytes) -> AsyncIterator[OpenAccount]:
        """The account's database, as it will fail."""
        async with self.databases.lease(account) as db:
            yield _Ending(self, db, db.memory)


@dataclass
class _Ending:
    ending: Stopping
    db: OpenAccount
    memory: dict[str, object]

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """A unit of work, if it is not that one."""
        self.ending.left -= 1
        if self.ending.left == 0 and not self.ending.done:
            raise Interrupted
        results = await self.db.batch(statements, tx)
        if self.ending.left == 0:
            raise Interrupted
        return results

    async def grow(self, statements: Sequence[Statement]) -> list[Result]:
        """A push's unit of work; the tests' disks are never full."""
        return await self.batch(statements)

    async def reclaim(self) -> None:
        """As the real one."""
        await self.db.reclaim()


class Story:
    """A log as it was before anything was let go of, beside the server's."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.items: list[push.Item] = []

    async def write(self, by_laptop: bool, wished: list[Wish]) -> None:
        """Write and push one run."""
        log = self.log
        writer, other = (log.laptop, log.phone) if by_laptop else (log.phone, log.laptop)
        first = len(writer.changes) + 1
        for wish in wished:
            context = {other.device: wish.other} if wish.other else {}
            kind = runs.STATE if wish.state else runs.DELTA
            writer.change(bytes([wish.object]) * 16, STREAM, context=context, kind=kind)
        # Behind a cut-off lies only what came before the revocation: here it may come at any time.
        revoked, log.devices.revoked = log.devices.revoked, {}
        answer = await log.service.push(log.caller(writer), [writer.run(first)])
        log.devices.revoked = revoked
        assert answer["runs"][0]["status"] == "stored"
        received_ms, seq = answer["runs"][0]["received_ms"], answer["runs"][0]["seq"]
        self.items.append(push.Item(seq, received_ms, push.WHOLE, writer.run(first)))

    async def ripen(self) -> None:
        """Put a checkpoint of the head, let a month pass, acknowledge it."""
        log, position = self.log, await self.head()
        point = checkpoint_of(ACCOUNT, self.items, position, (2, bytes(32)), log.devices.revoked)
        await put(log, log.laptop, point)
        log.now_ms[0] += 30 * DAY_MS
        async with log.databases.lease(ACCOUNT) as db:
            acked = Ack(position, 2, bytes(32), bytes(64))
            for writer in (log.laptop, log.phone):
                await store.put_ack(db, writer.device, acked, log.now_ms[0])

    async def head(self) -> LogPosition:
        """The log's head."""
        status = await self.log.service.status(self.log.caller(self.log.phone))
        return LogPosition(status["epoch"], status["head"]["seq"], unb64(status["head"]["log"]))

    async def compact(self, compaction: Compaction) -> None:
        """Compact what may be, as far as this compaction comes."""
        async with self.log.databases.lease(ACCOUNT) as db:
            compaction.consider(ACCOUNT, await opened_log(db))
        await compaction.settled()

    async def check(self, max_bytes: int, finished: bool) -> None:
        """What is served from here is what the definition says."""
        log, cut = self.log, self.log.devices.revoked
        base = (await log.service.status(log.caller(log.phone)))["base"]
        whole = changes_of(self.items)
        if base:
            served = changes_of(await base_items(log, base, max_bytes))
            assert set_of(live_at(served, base, cut)) == set_of(live_at(whole, base, cut))
            if finished:
                assert set_of(served) == set_of(live_at(whole, base, cut))
            with pytest.raises(EcholiaError):
                await pull(log, log.phone, cursor=at(base - 1))
        after = (await pull(log, log.phone, cursor=at(base), max_bytes=8 << 20)).items
        assert after == [item for item in self.items if item.seq > base]
        async with log.databases.lease(ACCOUNT) as db:
            (found,) = await db.batch([Statement("SELECT coalesce(sum(length(frame)), 0) FROM runs")])
        assert (await log.service.status(log.caller(log.phone)))["stored_bytes"] == found.rows[0][0]


def set_of(changes: Sequence[Logged]) -> set[tuple[int, bytes]]:
    """Changes by position and leaf."""
    return {(change.seq, change.leaf) for change in changes}


def stopping(log: Log, left: int, done: bool) -> Compaction:
    """A compaction that ends after so many units of work, a few changes in each."""
    accounts = Stopping(log.databases, left, done)
    walking = Walking(step_bytes=700, most_kept=7)
    return Compaction(accounts, log.devices, lambda: log.now_ms[0], PATIENCE, walking)


async def told(folder: Path, parts: list[list[Run]], cut: int | None, ends: Ends) -> None:
    """Write the parts, and after each compact: first as far as it gets, then to the end."""
    log = await open_log(folder, new=True)
    story = Story(log)
    if cut is not None:
        log.devices.revoked[log.phone.device] = cut
    for part in parts:
        for by_laptop, wished in part:
            await story.write(by_laptop, wished)
        await story.ripen()
        await story.compact(stopping(log, ends.after, ends.done))
        if ends.restart:
            await log.databases.drop(ACCOUNT)
        await story.check(ends.max_bytes, finished=False)
        await story.compact(stopping(log, 10**9, done=True))
        assert (await log.service.status(log.caller(log.phone)))["base"] == (await story.head()).seq
        await story.check(ends.max_bytes, finished=True)
    await log.close()


@settings(max_examples=int(os.environ.get("ECHOLIA_COMPACTIONS", "25")))
@given(st.lists(histories, min_size=1, max_size=3), cut_offs, endings)
def test_what_is_served_adds_up(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Run]], cut: int | None, ends: Ends
) -> None:
    asyncio.run(told(tmp_path_factory.mktemp("log"), parts, cut, ends))
