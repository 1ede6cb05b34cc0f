"""A log that was kept before there were checkpoints is served, continued and compacted like any other."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from echolia.core.ids import b64
from echolia.core.positions import log_after, log_start
from echolia.core.runs import read_header
from echolia.storage.databases import owner
from echolia.storage.engine import Statement
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import user_path
from tests.support.file_databases import file_databases
from tests.support.runs import Writer
from tests.sync.conftest import ACCOUNT, EPOCH, Log, open_log
from tests.sync.test_checkpoints import OBJECTS, STREAM, write
from tests.sync.test_compaction import base_items, compacted
from tests.sync.test_pull import pull

_RUN = """
INSERT INTO runs (seq, changes, device, last, chain, received_ms, log, total_bytes, frame)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ACK = "INSERT INTO acks (device, epoch, seq, body, signature) VALUES (?, ?, ?, ?, ?)"


def stored(writer: Writer) -> list[Statement]:
    """Three versions of an object as the first release stored them, and an acknowledgement."""
    position, total, statements = log_start(ACCOUNT, EPOCH), 0, []
    for number in (1, 2, 3):
        writer.change(OBJECTS[0], STREAM)
        frame, chain = writer.run(number), writer.chain(number)
        position = log_after(position, 1, writer.device, number, chain, number)
        total += len(frame)
        row = (number, 1, writer.device, number, chain, number, position.log, total, frame)
        statements.append(Statement(_RUN, row))
    body = position.log + bytes(36)
    return [*statements, Statement(_ACK, (writer.device, EPOCH, 3, body, bytes(64)))]


async def former(folder: Path) -> Log:
    """A log in a database of the first release, opened by this one."""
    driver, writer = SqliteDriver(1), Writer(ACCOUNT, 1)
    databases = file_databases(folder, driver, load_migrations("user")[:1])
    await databases.create(ACCOUNT, [owner(ACCOUNT, EPOCH)])
    async with databases.lease(ACCOUNT) as db:
        await db.batch(stored(writer))
    await databases.close()
    await driver.close()
    with sqlite3.connect(user_path(folder, ACCOUNT)) as raw:
        raw.execute("PRAGMA auto_vacuum = NONE")
    raw.execute("VACUUM")
    raw.close()
    log = await open_log(folder)
    log.laptop = writer
    return log


async def test_it_is_served_and_continued(tmp_path: Path) -> None:
    log = await former(tmp_path)
    page = await pull(log, log.phone)
    assert [bytes(item.content) for item in page.items] == [log.laptop.run(n, n) for n in (1, 2, 3)]
    await write(log, log.phone, OBJECTS[1])
    status = await log.service.status(log.caller(log.phone))
    assert (status["base"], status["head"]["seq"], status["acks"][0]["seq"]) == (0, 4, 3)
    assert status["acks"][0]["device"] == b64(log.laptop.device)
    await log.close()


async def test_it_is_compacted(tmp_path: Path) -> None:
    log = await former(tmp_path)
    await compacted(log, 3)
    (item,) = await base_items(log, 3)
    assert (item.seq, read_header(item.content).last) == (3, 3)
    await log.close()
