"""One note that is refused never keeps the others out, and a failing home is not taken for a bad note."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from types import TracebackType
from typing import Any, Self, cast

import pytest

from echolia.client import Device
from echolia.client.importing import Note, Skipped, bring_in
from echolia.client.importing.bring_in import MOST_NOTES_AT_ONCE
from echolia.core.errors import EcholiaError


class Shelf:
    """A device that keeps objects in memory and refuses those whose body says so, with their whole batch."""

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, Any]] = {}
        self.batches = 0

    def imported_id(self, source: str, key: str) -> str:
        return sha256(f"{source}\0{key}".encode()).hexdigest()[:32]

    def collection(self, name: str) -> Shelf:
        return self

    async def get(self, id: str) -> None:
        raise EcholiaError("object_unknown")

    def batch(self) -> Batch:
        return Batch(self)


class Batch:
    """Objects that are kept together or not at all."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.made: dict[str, Mapping[str, Any]] = {}

    def create(self, collection: str, fields: Mapping[str, Any], *, id: str) -> None:
        if fields["body"] in {"value_invalid", "disk_full"}:
            raise EcholiaError(fields["body"])
        self.made[id] = fields

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.shelf.kept |= self.made
            self.shelf.batches += 1


class Notes:
    """A reader of notes with these bodies."""

    def __init__(self, *bodies: str) -> None:
        self.bodies = bodies

    @property
    def total(self) -> int:
        return len(self.bodies)

    def __iter__(self) -> Iterator[Note | Skipped]:
        for number, body in enumerate(self.bodies):
            yield Note("test", str(number), f"{number}.md", "title", body)


async def test_a_refused_note_is_named_and_the_others_come_in() -> None:
    shelf = Shelf()
    report = await bring_in(cast(Device, shelf), Notes("a", "value_invalid", "b"))
    assert report.new == len(shelf.kept) == 2
    assert [(one.name, one.code) for one in report.skipped] == [("1.md", "value_invalid")]
    assert report.done == 3


async def test_a_home_that_fails_ends_the_import() -> None:
    shelf = Shelf()
    with pytest.raises(EcholiaError, match="disk_full"):
        await bring_in(cast(Device, shelf), Notes("a", "disk_full", "b"))
    assert shelf.kept == {}


async def test_many_notes_take_few_transactions_and_progress_is_told() -> None:
    shelf, told = Shelf(), list[tuple[int, int | None]]()
    await bring_in(cast(Device, shelf), Notes(*["x"] * 600), lambda done, total: told.append((done, total)))
    assert told == [(MOST_NOTES_AT_ONCE, 600), (2 * MOST_NOTES_AT_ONCE, 600), (600, 600)]
    assert (shelf.batches, len(shelf.kept)) == (3, 600)


async def test_large_notes_take_a_transaction_sooner() -> None:
    shelf = Shelf()
    await bring_in(cast(Device, shelf), Notes(*["x" * 900_000] * 10))
    assert shelf.batches == 2
