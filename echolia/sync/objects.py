"""Which objects a log holds: counted only where a quota asks, remembered while its database is open."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, Protocol

from echolia.core import runs
from echolia.core.parts import find_parts
from echolia.storage.engine import Batches
from echolia.sync import history
from echolia.sync.store import StoredRun

_MEMORY: Final = "objects"
_WALKED_BYTES: Final = 4 << 20
# Ids wait unsorted until they are so many, or an eighth of all: sorting anew costs about nothing an id then.
_UNSORTED: Final = 4096


class Remembering(Batches, Protocol):
    """An account's open database; `memory` lives as long as it stays open."""

    memory: dict[str, object]


class KnownObjects:
    """The distinct objects of a log up to position `seq`, by the first 8 bytes of their ids.

    8 bytes an object in memory. Two ids that begin alike count as one: random ids never do, and whoever makes
    them so on purpose gains nothing but small objects.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.walking = asyncio.Lock()
        self._sorted = array("Q")
        self._unsorted: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._unsorted)

    def most(self, seq: int) -> int:
        """What their number cannot exceed at position `seq`."""
        return len(self) + max(0, seq - self.seq)

    def take(self, found: Sequence[StoredRun]) -> None:
        """Count the runs that follow in the log; blocks."""
        for run in found:
            self._unsorted.update(self._unknown(object_names(run.frame, bool(run.partial))))
            self.seq = run.seq + runs.read_header(run.frame).count - 1
            if len(self._unsorted) > max(_UNSORTED, len(self._sorted) // 8):
                self._sorted = array("Q", sorted(chain(self._sorted, self._unsorted)))
                self._unsorted.clear()

    def missing(self, frames: Iterable[bytes | memoryview]) -> int:
        """How many objects these frames have that the log has not."""
        return len({name for frame in frames for name in self._unknown(object_names(frame))})

    def _unknown(self, names: Iterable[int]) -> Iterator[int]:
        for name in names:
            if name not in self._unsorted:
                at = bisect_left(self._sorted, name)
                if at == len(self._sorted) or self._sorted[at] != name:
                    yield name


def object_names(content: bytes | memoryview, partial: bool = False) -> Iterator[int]:
    """The object of each change in a frame, or of those that are left of it (`partial`), as a number."""
    parts = find_parts(content, runs.read_header(content), partial)
    return (int.from_bytes(runs.object_at(content, part.at)[:8], "big") for part in parts if part.whole)


def known(db: Remembering) -> KnownObjects:
    """What is remembered; nothing yet, if the log was never walked."""
    found = db.memory.setdefault(_MEMORY, KnownObjects())
    assert isinstance(found, KnownObjects)
    return found


async def counted(db: Remembering, seq: int, frames: Sequence[bytes | memoryview] = ()) -> tuple[int, int]:
    """How many objects the log holds at its position `seq`, and how many these frames would add.

    The first time the whole log is read, then only what was stored since; always in a thread.
    """
    found = known(db)
    async with found.walking:
        while found.seq < seq:
            page = await history.oldest_first(db, found.seq, seq, _WALKED_BYTES)
            await asyncio.to_thread(found.take, page)
        return len(found), await asyncio.to_thread(found.missing, frames) if frames else 0
