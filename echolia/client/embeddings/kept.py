"""Vectors as they are kept: an object of `vectors` beside each entry; all on the replica's thread.

They are found by ids that follow from the entry and the model (`spec/embeddings.md#vectors-at-rest`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from echolia.client import reading
from echolia.client.plain_values import Edit
from echolia.client.presentation import Presentation
from echolia.client.replica import Order, Replica
from echolia.client.reports import Record
from echolia.core.collections import ENTRIES, VECTORS
from echolia.core.model_identity import packed

PAGE: Final = 200
FIRST: Final = bytes(16)
_SOURCE: Final = "vector"
_CHOSEN: Final = "chosen"
_DIGEST_BYTES: Final = 16
_ALL: Final = "SELECT id, view FROM objects WHERE collection = ? AND alive"


class Lacking(NamedTuple):
    """An entry that has no vector of its text as it is now."""

    entry: str
    text: str

    def __repr__(self) -> str:
        """Nothing of the text."""
        return f"Lacking({self.entry})"


class Kept(NamedTuple):
    """A vector: its own id, the object that it is of, the model's digest, its bytes."""

    id: bytes
    of: bytes
    model: bytes
    vector: bytes

    def __repr__(self) -> str:
        """Nothing of the vector."""
        return f"Kept({self.of.hex()})"


def text_of(entry: Record) -> str:
    """What of an entry is embedded; empty where there is nothing."""
    title, body = (entry.fields.get(name) for name in ("title", "body"))
    parts = [part.strip() for part in (title, body) if isinstance(part, str)]
    return "\n\n".join(filter(None, parts))


def lacking(replica: Replica, model: bytes, after: bytes) -> tuple[list[Lacking], bytes | None]:
    """Of the next entries behind an id those without a vector; and behind which to go on, None at the end."""
    entries = reading.after(replica.database, ENTRIES.name, alive=True, id_=after, limit=PAGE)
    found = [Lacking(entry.id, text) for entry in entries if (text := text_of(entry))]
    found = [each for each in found if not _is_current(replica, model, each)]
    return found, bytes.fromhex(entries[-1].id) if len(entries) == PAGE else None


def orders(replica: Replica, model: bytes, made: Sequence[tuple[Lacking, array[float]]]) -> list[Order]:
    """The edits that keep these vectors."""
    found = []
    for each, vector in made:
        id_ = _id(replica, model, each.entry)
        former = reading.found(replica.database, id_)
        if former is not None and not former.alive:
            found.append(Order("restore", VECTORS.name, id_, {}))
        fields: dict[str, Edit] = {
            "of": bytes.fromhex(each.entry),
            "model": model,
            "made": {"text": digest(each.text), "vector": packed(vector)},
        }
        found.append(Order("put", VECTORS.name, id_, fields))
    return found


def kept(replica: Replica) -> Iterator[Kept]:
    """All vectors of entries that are here and alive."""
    alive = {id_ for (id_,) in replica.database.rows(_ENTRIES, ENTRIES.name)}
    yield from (each for each in everything(replica) if each.of in alive)


def everything(replica: Replica) -> Iterator[Kept]:
    """All vectors, those of what is gone too."""
    for id_, view in replica.database.rows(_ALL, VECTORS.name):
        match Presentation.decode(view).fields:
            case {"of": bytes(of), "model": bytes(model), "made": {"vector": bytes(vector)}}:
                yield Kept(id_, of, model, vector)


def standing(replica: Replica) -> tuple[int, Counter[bytes]]:
    """How many entries there are, and how many of them have a vector by model."""
    entries = reading.count(replica.database, ENTRIES.name, alive=True)
    return entries, Counter(each.model for each in kept(replica))


def of_model(replica: Replica, model: bytes) -> list[tuple[bytes, bytes]]:
    """Of each entry that has one its vector by this model."""
    return [(each.of, each.vector) for each in kept(replica) if each.model == model]


def needless(replica: Replica, model: bytes) -> list[Order]:
    """The edits that remove vectors of other models, and of what is gone."""
    alive = {id_ for (id_,) in replica.database.rows(_ENTRIES, ENTRIES.name)}
    gone = (each for each in everything(replica) if each.model != model or each.of not in alive)
    return [Order("delete", VECTORS.name, each.id, {}) for each in gone]


def chosen(replica: Replica) -> bytes | None:
    """The model that the account's devices make and search."""
    record = reading.found(replica.database, _key(replica, _CHOSEN))
    model = None if record is None else record.fields.get("model")
    return model if isinstance(model, bytes) else None


def choose(replica: Replica, model: bytes) -> Order:
    """The edit that makes it the one."""
    return Order("put", VECTORS.name, _key(replica, _CHOSEN), {"model": model})


_ENTRIES: Final = "SELECT id FROM objects WHERE collection = ? AND alive"


def _is_current(replica: Replica, model: bytes, each: Lacking) -> bool:
    record = reading.found(replica.database, _id(replica, model, each.entry))
    if record is None or not record.alive:
        return False
    match record.fields.get("made"):
        case {"text": bytes(of), "vector": bytes()}:
            return of == digest(each.text)
    return False


def digest(text: str) -> bytes:
    """By which a vector tells which text it is of."""
    return sha256(text.encode("utf-8", "replace")).digest()[:_DIGEST_BYTES]


def _id(replica: Replica, model: bytes, entry: str) -> bytes:
    return _key(replica, f"{model.hex()}:{entry}")


def _key(replica: Replica, key: str) -> bytes:
    return replica.identity.secrets.imported_object(_SOURCE, key)
