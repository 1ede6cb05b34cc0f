"""What people see of an object, prepared when it changes so that lists and searches open no text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2

from echolia.client import ledger
from echolia.client.database import Database
from echolia.client.reports import Choice, Record
from echolia.core.collections import Collection
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, Value, view
from echolia.core.merge.fields import Part, parts_of
from echolia.core.merge.registers import Dotted, Register
from echolia.core.merge.view import shown_part, values_of

_TITLES = ("title", "name", "content")
_MOST_CREATED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Presentation:
    """`fields` as a `Record` has them; `conflicts`: by field the [value, device, counter]s that compete.

    Of what has no one writer, as a set in a field of several policies, device and counter are empty.
    """

    fields: Mapping[str, Value] = field(repr=False)
    conflicts: Mapping[str, list[tuple[Value, bytes, int]]] = field(repr=False)

    def encode(self) -> bytes:
        """The form kept in the database."""
        return cbor2.dumps([self.fields, self.conflicts])

    @classmethod
    def decode(cls, raw: bytes) -> Presentation:
        """What `encode` wrote; raises `home_damaged`."""
        try:
            fields, conflicts = cbor2.loads(raw)
        except Exception:  # noqa: BLE001  # whatever a parser meets in damaged bytes has one answer
            raise EcholiaError("home_damaged", "an object cannot be read") from None
        return cls(fields, conflicts)

    @property
    def created(self) -> int | str | None:
        """What the `created` field says, for sorting."""
        created = self.fields.get("created")
        if isinstance(created, int) and abs(created) > _MOST_CREATED:
            return None  # the database could not keep it
        return created if isinstance(created, int | str) else None

    def words(self) -> tuple[str, str]:
        """The text to find it by: its title, and all its other text."""
        title = next((name for name in _TITLES if isinstance(self.fields.get(name), str)), "")
        chosen = [value for name, value in self.fields.items() if name != title]
        sides = [value for choices in self.conflicts.values() for value, _, _ in choices]
        return " ".join(_texts(self.fields.get(title))), "\n".join(_texts([*chosen, *sides]))


def present(state: ObjectState, collection: Collection | None) -> Presentation:
    """The presentation of a state; `collection` is its declaration, if this device has one."""
    shown = view(state, collection)
    fields, conflicts = dict(shown["fields"]), dict[str, list[tuple[Value, bytes, int]]]()
    for name in shown["conflicts"]:
        field = state.fields[name]
        conflicts[name] = [choice for part in parts_of(field) for choice in _written(part)]
        fields[name] = values_of(shown_part(field, collection.fields.get(name) if collection else None))[0]
    return Presentation(fields, conflicts)


def choices(database: Database, presentation: Presentation) -> dict[str, tuple[Choice, ...]]:
    """The values that compete, with when the log received each."""
    return {
        name: tuple(
            Choice(value, device.hex(), counter, ledger.received_ms(database, device, counter))
            for value, device, counter in written
        )
        for name, written in presentation.conflicts.items()
    }


def record(database: Database, id_: bytes, row: Mapping[str, Any], presentation: Presentation) -> Record:
    """The record of an object's row."""
    return Record(
        id_.hex(),
        row["collection"],
        presentation.fields,
        bool(row["alive"]),
        bool(row["recovered"]),
        choices(database, presentation),
        row["updated_ms"],
        bool(row["pending"]),
        bool(row["quarantined"]),
    )


def _written(part: Part) -> list[tuple[Value, bytes, int]]:
    """The values of a part with who wrote them, in the order in which they show."""
    if isinstance(part, Register):
        return [(part.value, part.key.device, part.key.counter)]
    if isinstance(part, Dotted) and part.tag == "multi":
        return [(part.live[write], write[0], write[1]) for write in sorted(part.live)]
    return [(values_of(part)[0], b"", 0)]


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
