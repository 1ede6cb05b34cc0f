"""What of a home goes into an export: its device log, and every object as it shows and as it merges."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from echolia.client import ledger
from echolia.client.database import Database
from echolia.client.identity import Identity
from echolia.client.presentation import Presentation
from echolia.core import canonical
from echolia.core.device_log import DeviceLog, SignedEntry
from echolia.core.errors import EcholiaError
from echolia.core.export_records import KEYS, LOG, OBJECT, Record, expect_map, invalid
from echolia.e2ee.keys import seal_key_box

OBJECTS_AT_ONCE: Final = 200
_OBJECTS: Final = """
SELECT n, id, collection, alive, recovered, updated_ms, view, coalesce(shown, confirmed) FROM objects
WHERE n > ? AND (shown NOTNULL OR confirmed NOTNULL) ORDER BY n LIMIT ?
"""
_KEYS: Final = {"id", "collection", "alive", "recovered", "updated", "fields", "conflicts", "state"}


class Some(NamedTuple):
    """The next objects, and after which one to go on (None: these were the last)."""

    objects: list[dict[str, Any]]
    after: int | None


def log_records(database: Database) -> list[Record]:
    """The device log, an entry a record."""
    entries = ledger.device_entries(database)
    return [Record(LOG, canonical.encode([one.entry, dict(one.signatures)])) for one in entries]


def keys_record(database: Database, identity: Identity) -> Record:
    """The account secrets for whoever has the words, so that the evidence can be read one day."""
    recovery = ledger.device_log(database).recovery_box
    return Record(KEYS, seal_key_box(identity.secrets, recovery))


def some_objects(database: Database, after: int) -> Some:
    """The next objects, as people and readers are given them."""
    rows = database.rows(_OBJECTS, after, OBJECTS_AT_ONCE)
    return Some([_object(*row[1:]) for row in rows], rows[-1][0] if len(rows) == OBJECTS_AT_ONCE else None)


def object_record(fields: dict[str, Any]) -> Record:
    """An object's record."""
    return Record(OBJECT, canonical.encode(fields))


def read_object(content: bytes) -> dict[str, Any]:
    """The object in a record; its state is for `merge.decode`. Raises `export_invalid`."""
    fields = expect_map(content, _KEYS)
    if type(fields["id"]) is not bytes or len(fields["id"]) != 16 or type(fields["state"]) is not bytes:
        raise invalid("an object has another form")
    return fields


def read_log(records: list[bytes], account: bytes) -> tuple[DeviceLog, list[SignedEntry]]:
    """The verified device log in these records; raises `export_invalid` if it is not the account's."""
    try:
        entries = [SignedEntry(entry, signatures) for entry, signatures in map(canonical.decode, records)]
        return DeviceLog.replay(entries, account), entries
    except (EcholiaError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, EcholiaError) and error.code == "unsupported_version":
            raise
        raise invalid("its device log does not verify") from None


def _object(
    id_: bytes, collection: str, alive: int, recovered: int, updated_ms: int, view: bytes, state: bytes
) -> dict[str, Any]:
    shown = Presentation.decode(view)
    conflicts = {name: [value for value, *_ in choices] for name, choices in shown.conflicts.items()}
    return {
        "id": id_,
        "collection": collection,
        "alive": bool(alive),
        "recovered": bool(recovered),
        "updated": updated_ms,
        "fields": dict(shown.fields),
        "conflicts": conflicts,
        "state": state,
    }
