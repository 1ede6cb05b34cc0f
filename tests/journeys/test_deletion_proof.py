"""A deleted account is nowhere any more: not at any place, not in a log, a free page, a snapshot or a name.

The account has snapshots, a move of it was interrupted by the end of the process (so that it is at both
places), and logs lie beside the databases. It is deleted by its device; then the whole folder is searched.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

import pytest

from echolia.app import running
from echolia.auth.store.accounts import tombstone
from echolia.core.push import PUSH_TYPE, write_push
from echolia.storage.data_keys import data_key
from echolia.storage.databases import FILES
from echolia.storage.engine import FileDriver
from echolia.storage.file_homes import files_alone
from echolia.storage.migrate import Migration
from echolia.storage.provisioner import Provisioner
from echolia.storage.sqlite.driver import SqliteDriver
from tests.journeys.canary.person import writer_of
from tests.simulator.crashes import Crashed
from tests.support.accounts import Account, Keys
from tests.support.asgi import Asker
from tests.support.on_disk import on_disk
from tests.support.server import Clock, settings_for
from tests.support.two_places import OTHER, PLACES, End, Process, two_places

ANNAS, BENS = b"canary of anna's", b"and one of ben's"
CHANGES: Final = 6
End_ = Callable[[Process, bytes], Awaitable[None]]


@asynccontextmanager
async def served(data: Path, clock: Clock, kind: str) -> AsyncIterator[Asker]:
    """A server that knows both places."""

    def homes(data: Path, driver: FileDriver, migrations: Sequence[Migration]) -> Mapping[str, Provisioner]:
        assert isinstance(driver, SqliteDriver)
        other = PLACES[kind].make(data, driver, migrations)
        return {**files_alone(data, driver, migrations), OTHER: other}

    async with running(settings_for(data), clock, homes=homes) as gate:
        yield Asker(gate)


async def lived(ask: Asker, account: Account, phone: Keys, canary: bytes) -> bytes:
    """The account comes into being and leaves traces wherever a server keeps something.

    Gives the end of one of its sealed bodies; `canary` is in each change's clear header.
    """
    ask.token = (await account.register(ask))["access"]
    await account.pair(ask, ask.token, phone)
    await account.sign_in(ask, phone)
    await ask("POST", "/sync/live/ticket")
    writer = writer_of(account, account.first)
    writer.dice = Random(canary)  # or two accounts would write the same
    for _ in range(CHANGES):
        writer.change(canary, canary, 16384)
    body = write_push([writer.run()])
    answer = await ask("POST", "/sync/push", body=body, headers={"content-type": PUSH_TYPE})
    assert answer.json()["runs"][0]["status"] == "stored", answer.body
    return writer.changes[-1][-64:]


async def before_the_switch(process: Process, account: bytes) -> None:
    """The process ends while the copy is not yet authoritative, though all of the log is in it."""
    told: list[int] = []
    until = process.homes[OTHER].until

    def tell(_what: str, done: int, _total: int | None) -> None:
        told.append(done)
        if done:
            until.at = until.steps + 2

    with pytest.raises(Crashed):
        await process.moves.move(account, OTHER, tell)
    assert told[-1]


async def behind_the_switch(process: Process, account: bytes) -> None:
    """The process ends before the database is removed from its former place."""
    process.homes[FILES].until = End(at=1)
    with pytest.raises(Crashed):
        await process.moves.move(account, OTHER)
    assert await process.registry.leaving() == {account: FILES}


@pytest.mark.parametrize("end", [before_the_switch, behind_the_switch])
@pytest.mark.parametrize("kind", list(PLACES))
async def test_nothing_is_left_of_a_deleted_account(tmp_path: Path, kind: str, end: End_) -> None:
    data, clock, image = tmp_path / "data", Clock(), tmp_path / "image"
    anna, phone, ben = Account("anna"), Keys("anna's phone"), Account("ben")
    async with served(data, clock, kind) as ask:
        body = await lived(ask, anna, phone, ANNAS)
        await lived(ask, ben, Keys("ben's phone"), BENS)
    async with two_places(data, kind) as process:
        for _ in range(2):
            [_ async for _ in process.operator.snapshot(anna.id.hex())]
        key = await data_key(process.directory, anna.id)
        sealed = [path.read_bytes()[100:132] for path in data.rglob("*.sealed")]
        await end(process, anna.id)
        # What a crash leaves on the disk: with the logs, as nobody has closed anything.
        shutil.copytree(data, image)
    shutil.rmtree(data)
    image.rename(data)

    def left(wanted: bytes) -> list[str]:
        return [*on_disk(data, wanted), *on_disk(PLACES[kind].disk(data), wanted)]

    wanted = [anna.id, anna.first.id, phone.id, anna.first.sign, ANNAS, body, key or b"", *sealed]
    assert len(sealed) == 2
    assert all(left(each) for each in wanted)
    for place in (data / "users", PLACES[kind].disk(data)):
        assert on_disk(place, body), "it is at both places"
    assert any(name.endswith("-wal") for each in wanted for name in left(each))

    async with served(data, clock, kind) as ask:
        token = (await anna.sign_in(ask)).json()["access"]
        assert (await anna.delete(ask, token)).status == 204
        # While the server still runs: the answer was the promise.
        assert [left(each) for each in wanted] == [[]] * len(wanted)
        assert left(BENS)
        assert (await ben.sign_in(ask)).status == 200
    assert [left(each) for each in wanted] == [[]] * len(wanted)
    assert on_disk(data, tombstone(anna.id)) == ["directory.db"]
