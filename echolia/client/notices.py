"""What a person should know once: kept until a program has told it."""

from __future__ import annotations

from echolia.client.database import Database
from echolia.client.standing import Notice, NoticeCode


def add(database: Database, code: NoticeCode, now_ms: int) -> None:
    """Keep something to tell."""
    database.run("INSERT INTO notices (at_ms, code) VALUES (?, ?)", now_ms, code)


def untold(database: Database) -> tuple[Notice, ...]:
    """What was not told yet, oldest first."""
    rows = database.rows("SELECT n, code, at_ms FROM notices WHERE NOT told ORDER BY n")
    return tuple(Notice(*row) for row in rows)


def told(database: Database, until: int) -> None:
    """The person knows everything up to this number."""
    database.run("UPDATE notices SET told = 1 WHERE n <= ?", until)
