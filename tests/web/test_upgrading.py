"""A server migrates its accounts' databases by itself, tells how far it is, and never whose they are."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.user_files import user_path
from tests.fixtures.story import NAME
from tests.support import former
from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.server import Clock, served

LATEST = len(load_migrations("user"))
SHOWN = re.compile(r"^echolia_((?:databases|migrations)_\w+) (\d+)", re.MULTILINE)


async def told(ask: Asker) -> dict[str, int]:
    """The numbers of databases and migrations."""
    text = (await ask("GET", "/metrics")).body.decode()
    return {name: int(value) for name, value in SHOWN.findall(text)}


async def until(ask: Asker, **numbers: int) -> dict[str, int]:
    """Wait until the numbers are these."""
    async with asyncio.timeout(30):
        while not numbers.items() <= (shown := await told(ask)).items():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    return shown


def old(data: Path) -> Path:
    """A data folder that the first release left, with the database of one of its two accounts."""
    former.make("directory", 1, data / "directory.db")
    return former.make("user", 1, user_path(data / "users", Account(NAME).id))


async def test_nobody_has_to_come_for_it(tmp_path: Path) -> None:
    path = old(tmp_path)
    async with served(tmp_path) as ask:
        shown = await until(ask, databases_migrated_total=1)
        # The other account's database is not there, so that it stays behind.
        shown = await until(ask, databases_behind=1)
        assert (shown["databases_quarantined"], shown["migrations_paused"]) == (0, 0)
        assert shown["databases_open"] == 0
        text = (await ask("GET", "/metrics")).body.decode()
        assert Account(NAME).id.hex() not in text
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(LATEST,)]


async def test_where_the_settings_say_so_they_wait_until_they_are_used(tmp_path: Path) -> None:
    path = old(tmp_path)
    async with served(tmp_path, migrate_per_second=0) as ask:
        for _ in range(200):
            await asyncio.sleep(0)
        assert (await told(ask))["databases_migrated_total"] == 0
        token = (await Account(NAME).sign_in(ask)).json()["access"]
        assert (await ask("GET", "/sync/status", token=token)).status == 200
        assert (await told(ask))["databases_migrated_total"] == 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(LATEST,)]


async def test_one_that_fails_is_answered_as_quarantined_and_others_are_not(tmp_path: Path) -> None:
    path = old(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE checkpoints (surprise)")
    async with served(tmp_path, Clock(), migrate_per_second=0) as ask:
        token = (await Account(NAME).sign_in(ask)).json()["access"]
        for _ in range(2):
            refused = await ask("GET", "/sync/status", token=token)
            assert (refused.status, refused.code) == (503, "database_quarantined")
            assert refused.headers["retry-after"]
        assert (await told(ask))["migrations_failed_total"] == 1
        carl = Account("carl")
        token = (await carl.register(ask))["access"]
        assert (await ask("GET", "/sync/status", token=token)).status == 200
