"""Taking an export into this home's account: each object joins as a whole state, as often as one likes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from echolia.client import rebasing
from echolia.client.editing import Editor, Written
from echolia.client.exporting import archives, pieces
from echolia.client.exporting.contents import read_object
from echolia.client.exporting.report import NotTaken, TakenIn
from echolia.client.exporting.sealed_file import SealedFile
from echolia.client.exporting.verifying import verified
from echolia.client.replica import Replica
from echolia.client.reports import Changed
from echolia.core import merge
from echolia.core.clock import Stamp
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.export_records import OBJECT
from echolia.core.merge import ObjectState
from echolia.e2ee.exports import ChunkKey

OnProgress = Callable[[int, int], None]
_AT_ONCE: Final = 100
# What concerns one object and not the home.
_REFUSED: Final = frozenset({"body_invalid", "body_too_large", "object_quarantined", "object_unknown"})


class _Given(NamedTuple):
    """An object of the file: its id, and its state's bytes."""

    id: bytes
    collection: str
    state: bytes


class TakingIn:
    """One export that is taken in; see `Device.take_in`."""

    def __init__(self, replica: Replica, folder: Path, on_progress: OnProgress | None) -> None:
        """`folder` is where exports are kept that were taken in."""
        self._replica, self._folder = replica, folder
        self._on_progress = on_progress or (lambda _done, _total: None)
        self._counts = Counter[str]()
        self._not_taken: list[NotTaken] = []
        self._bound_ms = 0

    async def run(self, path: Path, words: str) -> TakenIn:
        """Verify all of it, keep the file, and only then take anything in."""
        replica = self._replica
        export = await replica.run(SealedFile, path)
        try:
            if export.head.account == replica.identity.account:
                raise EcholiaError("export_own")
            key = await replica.run(export.head.open_with_words, words)
            found = await replica.run(verified, export, key)
            archive = await replica.run(
                archives.keep, self._folder, path, export, replica.environment.durably
            )
            # Nobody believes a claim later than the file: a clock that was ahead must not win for ever.
            self._bound_ms = min(export.head.created_ms, replica.environment.now_ms())
            parts = _parts(_objects(export, key))
            done = 0
            while (part := await replica.run(next, parts, None)) is not None:
                replica.tell(await replica.run(self._take, part))
                done += len(part)
                self._on_progress(done, found.counts["object"])
        finally:
            export.close()
        new, updated, unchanged = (self._counts[name] for name in ("new", "updated", "unchanged"))
        return TakenIn(
            archive, new, updated, unchanged, found.counts["run"], found.counts["attachment"],
            tuple(self._not_taken),
        )  # fmt: skip

    def _take(self, part: Iterable[_Given]) -> Changed:
        database = self._replica.database
        changed, waiting = set[str](), set[str]()
        with database.transaction():
            editor = Editor(database, self._replica.identity, self._replica.environment)
            for given in part:
                try:
                    written = self._one(editor, given)
                except EcholiaError as error:
                    if error.code not in _REFUSED:
                        raise
                    self._not_taken.append(NotTaken(given.id.hex(), given.collection, error.code))
                    continue
                if written is not None:
                    changed.add(given.id.hex())
                if written:
                    waiting.add(given.id.hex())
            editor.finish()
        return Changed(frozenset(changed), frozenset(waiting))

    def _one(self, editor: Editor, given: _Given) -> bool | None:
        """Take one object in; whether it newly waits for a decision, None if nothing changed."""
        former = merge.clamp(merge.decode(given.state), lambda _dot: self._bound_ms)
        outcome = "unchanged"

        def make(current: ObjectState | None, dot: Dot, _stamp: Stamp) -> ObjectState | None:
            nonlocal outcome
            if current is not None and merge.dominates(current, former):
                return None
            outcome = "new" if current is None else "updated"
            state = rebasing.reasserted(current, former, dot)
            pieces.check_size(state)
            return state

        try:
            written: list[Written | None] = [editor.edit(given.id, former.collection, make, whole=True)]
        except EcholiaError as error:
            if error.code != "body_too_large":
                raise
            written = [editor.edit(given.id, former.collection, one) for one in pieces.makes(former)]
        self._counts[outcome] += 1
        waits = [one.waits for one in written if one is not None]
        return any(waits) if waits else None


def _parts(objects: Iterator[_Given]) -> Iterator[list[_Given]]:
    while part := list(islice(objects, _AT_ONCE)):
        yield part


def _objects(export: SealedFile, key: ChunkKey) -> Iterator[_Given]:
    for record in export.records(key):
        if record.kind == OBJECT:
            fields = read_object(record.content)
            yield _Given(fields["id"], str(fields["collection"]), fields["state"])
