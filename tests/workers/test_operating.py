"""`echolia db` on a server that runs, as one process and as three: it asks whoever has the account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from echolia.core.errors import EcholiaError
from echolia.workers.node import folder_of
from echolia.workers.operating import Running, asking
from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.server import served
from tests.workers.conftest import crew_of

ACCOUNTS = [Account(f"person {n}") for n in range(6)]


async def registered(asks: list[Asker]) -> None:
    """All accounts, each by one of the processes."""
    for n, account in enumerate(ACCOUNTS):
        await account.register(asks[n % len(asks)])


@pytest.fixture(params=[1, 3])
async def data(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path]:
    """The data folder of a running server with some accounts."""
    if request.param == 1:
        async with served(tmp_path) as ask:
            await registered([ask])
            yield tmp_path
        return
    async with crew_of(tmp_path, 3) as crew:
        await registered([await crew.start() for _ in range(3)])
        yield tmp_path


@pytest.fixture
async def operator(data: Path) -> AsyncIterator[Running]:
    """What a command asks."""
    async with asking(folder_of(data)) as running:
        assert running is not None
        yield running


async def result_of(events: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """The last thing that is told."""
    told = [event async for event in events]
    found: dict[str, Any] = told[-1]["result"]
    return found


async def test_all_are_listed_and_each_is_shown(operator: Running) -> None:
    page = await operator.list(None, 100, None, False, False)
    assert {each["account"] for each in page["databases"]} == {each.id.hex() for each in ACCOUNTS}
    for account in ACCOUNTS:
        shown = await operator.show(account.id.hex()[:10])
        assert (shown["account"], shown["error"], shown["counts"]["account"]) == (account.id.hex(), None, 1)


async def test_each_is_exported_by_who_has_it(operator: Running, tmp_path: Path) -> None:
    for n, account in enumerate(ACCOUNTS):
        file = tmp_path / f"{n}.export"
        result = await result_of(operator.export(account.id.hex(), str(file)))
        assert result["account"] == account.id.hex()
        assert file.read_bytes()[:15] == b"SQLite format 3"


async def test_all_are_checked_once_and_an_orphan_is_found_once(operator: Running, data: Path) -> None:
    assert await result_of(operator.check(None)) == {"checked": len(ACCOUNTS), "findings": []}
    orphan = data / "users" / "00" / f"{'00' * 16}.db"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"")
    checked = await result_of(operator.check(None))
    assert checked["checked"] == len(ACCOUNTS)
    assert [each["code"] for each in checked["findings"]] == ["orphan"]


async def test_migrations_are_paused_everywhere(operator: Running) -> None:
    assert (await operator.pause_migration(True))["paused"] == "operator"
    assert (await operator.migration())["paused"] == "operator"
    assert (await operator.pause_migration(False))["paused"] is None
    assert (await result_of(operator.migrate(None)))["behind"] == 0


async def test_a_failure_is_told_as_it_is(operator: Running) -> None:
    for asked in (operator.show("ab" * 16), operator.block("ab" * 16, True)):
        with pytest.raises(EcholiaError) as caught:
            await asked
        assert caught.value.code == "account_unknown"
    with pytest.raises(EcholiaError) as caught:
        await result_of(operator.move(ACCOUNTS[0].id.hex(), "nowhere"))
    assert caught.value.code == "home_unknown"


async def test_what_is_begun_goes_on_though_nobody_watches(operator: Running) -> None:
    user = ACCOUNTS[0].id.hex()
    peer = await operator._owner(user)
    await peer.ask("operator begin", "snapshot", [user])
    snapshots: list[Any] = []
    while not snapshots:
        snapshots = (await operator.show(user))["snapshots"]
    assert len(snapshots) == 1


async def test_without_a_server_there_is_nobody_to_ask(tmp_path: Path) -> None:
    folder_of(tmp_path).mkdir()
    (folder_of(tmp_path) / "left.sock").write_bytes(b"")
    async with asking(folder_of(tmp_path)) as running:
        assert running is None
