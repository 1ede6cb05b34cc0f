"""Failures that need a broken machine: each account's database is broken in a way of its own."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from echolia.storage.owner_lock import OwnerLock
from echolia.workers.census import host_of
from tests.journeys.canary.flock import BODY, BOX
from tests.journeys.canary.person import Person
from tests.journeys.canary.watched import Watched

Break = Callable[[Watched, Person], None]

# Codes of the table that no request can bring about on any machine we can make:
NOT_BROUGHT: Final[Mapping[str, str]] = {
    "storage_exists": "of two creations of one database the second waits until the first has answered",
}


def database_of(server: Watched, person: Person) -> Path:
    """The file of a person's database."""
    name = person.account.id.hex()
    return server.data / "users" / name[:2] / f"{name}.db"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def _use(person: Person) -> None:
    person.push_new()
    person.ask("POST", "/sync/pull", {})
    person.ask("GET", "/sync/status")


def _damaged(server: Watched, person: Person) -> None:
    database_of(server, person).write_bytes(b"no database at all" * 500)
    _use(person)


def _missing(server: Watched, person: Person) -> None:
    database_of(server, person).unlink()
    _use(person)


def _refusing(server: Watched, person: Person) -> None:
    with _opened(database_of(server, person)) as database:
        database.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'refused by a test'); END"
        )
    _use(person)


def _failing(server: Watched, person: Person) -> None:
    person.push_new()
    with _opened(database_of(server, person)) as database:
        database.execute("DROP TABLE acks")
        # Python's message quotes a text that is not UTF-8: whoever told the message would tell the row.
        text = person.flock.word("row", BODY).encode() + b"\xff"
        database.execute("CREATE TABLE loose AS SELECT * FROM runs")
        database.execute("UPDATE loose SET frame = CAST(? AS TEXT)", (text,))
        database.execute("DROP TABLE runs")
        database.execute("ALTER TABLE loose RENAME TO runs")
    _use(person)


def _busy(server: Watched, person: Person) -> None:
    with _opened(database_of(server, person)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("BEGIN IMMEDIATE")
        person.push_new()


def _full(server: Watched, person: Person) -> None:
    process = server.process.pid
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    # Its log must still fit, and its databases; three sealed bodies of a MiB do not.
    resource.prlimit(process, resource.RLIMIT_FSIZE, (2 << 20, before[1]))
    try:
        person.write(3, 1 << 20)
        person.push(person.writer.run(seen=person.seen()))
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def _quarantined(server: Watched, person: Person) -> None:
    """Its last migration seems to be still to come, and does not fit what is there."""
    with _opened(database_of(server, person)) as database:
        database.execute("DELETE FROM schema_migrations WHERE version > 1")
    _use(person)


def _placed(server: Watched, person: Person, change: str) -> None:
    with _opened(server.data / "directory.db") as database:
        change = f"UPDATE databases SET {change} WHERE account = ?"
        database.execute(change, (person.account.id,))
    _use(person)


def elsewhere(server: Watched, person: Person) -> None:
    """A process that lives has the account, and does not answer."""
    worker, slot = bytes(range(16)), person.account.id[0]
    lock = OwnerLock(server.data / "workers", f"{worker.hex()}.lock")
    try:
        with _opened(server.data / "directory.db") as directory:
            here = host_of(server.data)
            directory.execute("INSERT INTO workers VALUES (?, ?, '', 0)", (worker, here))
            directory.execute("UPDATE slots SET owner = ?, fence = fence + 1 WHERE slot = ?", (worker, slot))
        # Who had it notices at its next look.
        while person.ask("GET", "/sync/status").status == 200:
            pass
        _use(person)
    finally:
        lock.release()


def _unforeseen(server: Watched, person: Person) -> None:
    """What no line of the server expects: an epoch of no log, and a key box that no answer may hold."""
    with _opened(database_of(server, person)) as database:
        database.execute("UPDATE account SET epoch = -1")
    _use(person)
    account = person.account.id
    with _opened(server.data / "directory.db") as database:
        # pydantic's message quotes what does not fit the answer's model.
        recipient = person.flock.raw("no recipient", BOX, 24)
        database.execute("UPDATE key_boxes SET recipient = ? WHERE account = ?", (recipient, account))
        person.ask("GET", "/auth/key-boxes")
        database.execute("DELETE FROM key_boxes WHERE account = ?", (account,))


BREAK: Final[Mapping[str, Break]] = {
    "storage_damaged": _damaged,
    "storage_missing": _missing,
    "storage_constraint": _refusing,
    "storage_failed": _failing,
    "storage_busy": _busy,
    "storage_full": _full,
    "database_quarantined": _quarantined,
    "database_blocked": partial(_placed, change="blocked = 1"),
    "home_unknown": partial(_placed, change="home = 'nowhere'"),
    "internal": _unforeseen,
}
