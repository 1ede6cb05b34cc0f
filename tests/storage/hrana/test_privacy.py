"""No token, key, SQL or parameter is in an error, a representation or a log, however much is logged."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from echolia.storage.engine import Database, Statement, StorageError
from echolia.storage.hrana.database import HranaDatabase
from echolia.storage.hrana.sqld import Sqld
from tests.support.sqld import SqldProcess, account_named

pytestmark = pytest.mark.service

CANARY = "kanariya"
ANNA = account_named("anna")


@pytest.fixture
def own(service_binary: Callable[[str, str], str], tmp_path: Path) -> Iterator[SqldProcess]:
    """An sqld of the test's own, whose log is read."""
    process = SqldProcess(service_binary, tmp_path / "sqld")
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def place(own: SqldProcess) -> AsyncIterator[Sqld]:
    """A place with a short patience."""
    place = own.place(seed=secrets.token_hex(8), answer_s=0.3)
    yield place
    await place.close()


def said(error: BaseException) -> str:
    """All that an error and those that it came from say, with the variables of no frame."""
    told, seen = "", error
    while seen is not None:
        told += f"{seen!r} {seen} {getattr(seen, '__notes__', '')} {vars(seen)}"
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return told


async def failures(own: SqldProcess, place: Sqld, db: Database) -> AsyncIterator[StorageError]:
    """Every way in which a unit of work with the canary in it fails."""
    with_canary = Statement("INSERT INTO t VALUES (?)", (CANARY,))
    for statement in (
        Statement(f"SELECT {CANARY} FROM t"),
        Statement(f"nonsense {CANARY}"),
        Statement("SELECT json(?)", (CANARY,)),
        Statement("SELECT CAST(? AS TEXT)", (CANARY.encode() + b"\xff",)),
        with_canary,
    ):
        yield await failing(db.batch([with_canary, statement]))
    yield await failing(place.create(ANNA, [with_canary]))
    await place.block(ANNA, True)
    yield await failing(db.batch([with_canary]))
    await place.block(ANNA, False)
    with own.frozen():
        yield await failing(db.batch([with_canary]))
        yield await failing(db.batch([with_canary]))
    await place.delete(ANNA)
    yield await failing(db.batch([with_canary]))
    own.kill()
    yield await failing(place.create(ANNA, [with_canary]))
    yield await failing(db.batch([with_canary]))


async def failing(work: object) -> StorageError:
    """The error of work that fails."""
    with pytest.raises(StorageError) as caught:
        await work  # type: ignore[misc]
    return caught.value


async def test_no_error_and_no_log_says_what_was_sent(
    own: SqldProcess, place: Sqld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    await place.create(ANNA, [Statement("CREATE TABLE t (v TEXT UNIQUE)")])
    db = await place.open(ANNA)
    assert isinstance(db, HranaDatabase)
    token = await db.access.token()
    forbidden = [CANARY, CANARY.encode().hex(), token, token.split(".")[2], own.admin_key]
    forbidden += [place._names.of(ANNA), ANNA.hex(), "INSERT"]
    count = 0
    async for error in failures(own, place, db):
        count += 1
        assert [word for word in forbidden if word in said(error)] == []
    assert count == 12
    shown = " ".join(repr(each) for each in (place, db, db.access, place._admin, place._signer, place._names))
    for text in (caplog.text, shown):
        assert [word for word in forbidden if word in text] == []


async def test_sqlds_own_log_is_silent_about_parameters(own: SqldProcess, place: Sqld) -> None:
    await place.create(ANNA, [Statement("CREATE TABLE t (v TEXT UNIQUE)")])
    db = await place.open(ANNA)
    with_canary = Statement("INSERT INTO t VALUES (?)", (CANARY,))
    await failing(db.batch([with_canary, with_canary]))
    await failing(db.batch([Statement("SELECT json(?)", (CANARY,))]))
    assert CANARY not in own.log.read_text()
