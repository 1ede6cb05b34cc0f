"""Reading: records, lists and searches, straight from what was prepared when the objects changed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final, Literal

from echolia.client.database import Database
from echolia.client.presentation import Presentation
from echolia.client.presentation import record as record_of
from echolia.client.reports import Found, Record
from echolia.core.errors import EcholiaError

_SELECT: Final = """
SELECT id, view, collection, alive, recovered, updated_ms, shown IS NOT NULL AS pending,
    EXISTS (SELECT 1 FROM quarantine WHERE object = id) AS quarantined FROM objects
"""
_NAMES: Final = ("collection", "alive", "recovered", "updated_ms", "pending", "quarantined")
_ORDERS: Final = {"updated": "updated_ms DESC, n DESC", "created": "created DESC, n DESC"}
_SHORT_DIGITS: Final = 8
_SNIPPET_CHARACTERS: Final = 160


def object_id(text: str) -> bytes:
    """The id's 16 bytes; raises `object_unknown`."""
    if re.fullmatch("[0-9a-f]{32}", text) is None:
        raise EcholiaError("object_unknown")
    return bytes.fromhex(text)


def get(database: Database, collection: str, id_: bytes) -> Record:
    """One object of a collection; raises `object_unknown`."""
    record = found(database, id_)
    if record is None or record.collection != collection:
        raise EcholiaError("object_unknown")
    return record


def found(database: Database, id_: bytes) -> Record | None:
    """One object of whatever collection, or None."""
    row = database.row(f"{_SELECT} WHERE id = ?", id_)
    return None if row is None else _record(database, row)


def holding(database: Database, collection: str, word: str) -> list[Record]:
    """The objects alive that hold a word, title or text or member of a set; the newest first."""
    sql = f"""{_SELECT} JOIN search ON search.rowid = objects.n
        WHERE search MATCH ? AND collection = ? AND alive ORDER BY updated_ms DESC, n DESC"""
    return [_record(database, row) for row in database.rows(sql, f'"{word}"', collection)]


def listed(
    database: Database,
    collection: str,
    *,
    alive: bool,
    conflicts: bool,
    order: Literal["updated", "created"],
    limit: int | None,
    offset: int,
) -> list[Record]:
    """A page of a collection."""
    which = "collection = ? AND alive = ? AND conflicts >= ?"
    sql = f"{_SELECT} WHERE {which} ORDER BY {_ORDERS[order]} LIMIT ? OFFSET ?"
    limit = -1 if limit is None else limit
    rows = database.rows(sql, collection, alive, int(conflicts), limit, offset)
    return [_record(database, row) for row in rows]


def after(database: Database, collection: str, *, alive: bool, id_: bytes, limit: int) -> list[Record]:
    """The objects that follow an id."""
    sql = f"{_SELECT} WHERE collection = ? AND alive = ? AND id > ? ORDER BY id LIMIT ?"
    return [_record(database, row) for row in database.rows(sql, collection, alive, id_, limit)]


def count(database: Database, collection: str, *, alive: bool) -> int:
    """How many objects a collection has."""
    found: int = database.value(
        "SELECT count(*) FROM objects WHERE collection = ? AND alive = ?", collection, alive
    )  # fmt: skip
    return found


def search(database: Database, collection: str, text: str, limit: int) -> list[Found]:
    """Objects alive that hold all words, the last one as a prefix, best first; a title counts more."""
    words = re.findall(r"\w+", text)
    if not words:
        return []
    query = " ".join([*(f'"{word}"' for word in words[:-1]), f'"{words[-1]}"*'])
    sql = f"""{_SELECT} JOIN search ON search.rowid = objects.n
        WHERE search MATCH ? AND collection = ? AND alive ORDER BY bm25(search, 4.0, 1.0), id LIMIT ?"""
    return [_found(database, row, words) for row in database.rows(sql, query, collection, limit)]


def resolve(database: Database, prefix: str, collection: str | None) -> str:
    """The one id that starts so, as hexadecimal."""
    if re.fullmatch("[0-9a-f]{1,32}", prefix) is None:
        raise EcholiaError("object_unknown")
    low = bytes.fromhex(prefix.ljust(32, "0"))
    high = bytes.fromhex(prefix.ljust(32, "f"))
    sql = "SELECT id FROM objects WHERE id BETWEEN ? AND ? AND coalesce(?, collection) = collection LIMIT 2"
    found = database.rows(sql, low, high, collection)
    if len(found) > 1:
        raise EcholiaError("object_ambiguous")
    if not found:
        raise EcholiaError("object_unknown")
    return str(found[0][0].hex())


def short_ids(database: Database, ids: Iterable[str]) -> dict[str, str]:
    """For each id the shortest prefix that neither of its neighbours shares."""
    return {text: text[: _distinct(database, bytes.fromhex(text))] for text in ids}


def _distinct(database: Database, id_: bytes) -> int:
    before = database.value("SELECT max(id) FROM objects WHERE id < ?", id_)
    behind = database.value("SELECT min(id) FROM objects WHERE id > ?", id_)
    shared = [_shared(id_.hex(), other.hex()) + 1 for other in (before, behind) if other is not None]
    return max(_SHORT_DIGITS, *shared, 0)


def _shared(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


def _record(database: Database, row: tuple[Any, ...]) -> Record:
    id_, view, *rest = row
    return record_of(database, id_, dict(zip(_NAMES, rest, strict=True)), Presentation.decode(view))


def _found(database: Database, row: tuple[Any, ...], words: list[str]) -> Found:
    text = "\n".join(Presentation.decode(row[1]).words())
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, map(_folded, words))) + ")")
    folded = _folded(text)
    first = pattern.search(folded)
    at = first.start() if first else 0
    start = max(folded.rfind("\n", 0, at) + 1, at - _SNIPPET_CHARACTERS // 2)
    end = folded.find("\n", at)
    end = min(len(text) if end < 0 else end, start + _SNIPPET_CHARACTERS)
    matches = tuple((m.start(), m.end()) for m in pattern.finditer(folded[start:end]))
    return Found(_record(database, row), text[start:end], matches)


def _folded(text: str) -> str:
    """Case and accents aside, character by character, so that positions stay."""
    return "".join(unicodedata.normalize("NFD", character)[0].lower()[:1] or character for character in text)
