"""How much work a database does: SQLite's own instructions, the same on a busy machine and an idle one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


class Steps:
    """A count of instructions."""

    count = 0

    def more(self) -> int:
        """Called by SQLite after each; zero lets it go on."""
        self.count += 1
        return 0


@contextmanager
def counted(connection: sqlite3.Connection) -> Iterator[Steps]:
    """Count what this connection executes inside the block."""
    steps = Steps()
    connection.set_progress_handler(steps.more, 1)
    try:
        yield steps
    finally:
        connection.set_progress_handler(None, 1)
