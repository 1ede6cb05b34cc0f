"""The log in a database that waits for its migration, while all of the code is there already.

The tests of this room are those of the room above, on this log: what the code does with the last version, it
does with the one before. Where it needs all of the released migrations, a further one stands in for the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from echolia.storage.databases import owner
from echolia.storage.engine import Statement
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import user_path
from echolia.storage.upgrades import OPERATOR, SERVED_SINCE
from tests.support.file_databases import file_databases
from tests.support.fleet import EXPANDING, steps_with
from tests.sync.conftest import ACCOUNT, EPOCH, Log, log_in


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log in a database of the version that has to be served.

    It still has that in the end, unless the test has opened it once more, where nothing is paused.
    """
    driver, released = SqliteDriver(2), load_migrations("user")
    before = file_databases(tmp_path, driver, released[:SERVED_SINCE])
    await before.create(ACCOUNT, [owner(ACCOUNT, EPOCH)])
    await before.close()
    steps = released if len(released) > SERVED_SINCE else steps_with(EXPANDING)
    databases = file_databases(tmp_path, driver, steps)
    await databases.sweep()
    await databases.upgrades.pause(OPERATOR)
    opened = log_in(databases, driver)
    async with databases.lease(ACCOUNT) as db:
        (applied,) = await db.batch([Statement("SELECT max(version) FROM schema_migrations")], tx=False)
    assert applied.rows == [(SERVED_SINCE,)]
    yield opened
    await opened.close()
    with closing(sqlite3.connect(user_path(tmp_path, ACCOUNT))) as db:
        ((version,),) = db.execute("SELECT max(version) FROM schema_migrations").fetchall()
    assert version in (SERVED_SINCE, len(steps))
