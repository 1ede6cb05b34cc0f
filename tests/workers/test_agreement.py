"""A machine that does not go with the others of its directory does not start, and says what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from echolia.core.errors import CODES, EcholiaError
from echolia.settings import Settings
from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, Statement
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.workers import store
from echolia.workers.agreement import able, agree, alone
from echolia.workers.store import Worker
from tests.deployment.processes import clean_environment
from tests.support.server import settings_for

HOMES = '[cell-1]\nkind = "turso"\norganization = "example"\ngroup = "default"\ntoken_file = "turso.token"\n'
DISK = '[other-disk]\nkind = "files"\npath = "elsewhere"\n'
ONE, TWO = b"1" * 16, b"2" * 16


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Database]:
    """A directory; which engine it is in makes no difference here."""
    driver = SqliteDriver(2)
    db = await open_directory(tmp_path / "directory.db", driver, load_migrations("directory"))
    yield db
    await db.close()
    await driver.close()


def machine(folder: Path, **changed: Any) -> Settings:
    """The settings of a machine among several."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "homes.toml").write_text(HOMES + DISK)
    usual = {
        "address": "127.0.0.1:8100",
        "directory_url": "postgresql://echolia@127.0.0.1/echolia",
        "homes": folder / "homes.toml",
        "new_accounts": "cell-1",
    }
    return settings_for(folder, **{**usual, **changed})


def copied(one: Settings, two: Settings) -> None:
    """What an operator copies."""
    for name in ("cluster.key", "databases.key"):
        shutil.copy(one.data / name, two.data / name)


async def lives_at(directory: Database, home: str, moving_to: str | None = None) -> None:
    """An account has its database there."""
    put = "INSERT INTO databases (account, home, moving_to) VALUES (?, ?, ?)"
    await directory.batch([Statement(put, (b"a" * 16, home, moving_to))])


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"directory_url": ""}, "ECHOLIA_DIRECTORY_URL"),
        ({"new_accounts": "files"}, "ECHOLIA_NEW_ACCOUNTS"),
        ({"new_accounts": "other-disk"}, "ECHOLIA_NEW_ACCOUNTS"),
        ({"live": "memory"}, "ECHOLIA_LIVE"),
    ],
)
def test_settings_of_one_machine_are_refused(tmp_path: Path, changed: dict[str, str], names: str) -> None:
    able(machine(tmp_path))
    with pytest.raises(EcholiaError) as caught:
        able(machine(tmp_path, **changed))
    assert caught.value.code == "settings_invalid"
    assert names in caught.value.detail


@pytest.mark.parametrize(
    "address", ["10.0.0.5", ":8100", "10.0.0.5:", "a b:1", "u@host:1", "h:1/x", "h:99999"]
)
def test_an_address_is_a_host_and_a_port(tmp_path: Path, address: str) -> None:
    with pytest.raises(EcholiaError) as caught:
        machine(tmp_path, address=address)
    assert (caught.value.code, caught.value.detail) == ("settings_invalid", "ECHOLIA_ADDRESS")


@pytest.mark.parametrize(
    ("home", "moving_to", "code"),
    [
        ("files", None, "home_local"),
        ("other-disk", None, "home_local"),
        ("cell-1", "files", "home_local"),
        ("cell-9", None, "home_unknown"),
    ],
)
async def test_accounts_that_others_do_not_reach_are_refused(
    directory: Database, tmp_path: Path, home: str, moving_to: str | None, code: str
) -> None:
    await lives_at(directory, home, moving_to)
    with pytest.raises(EcholiaError) as caught:
        await agree(machine(tmp_path / "one"), directory)
    assert (caught.value.code, caught.value.detail) == (code, f"{moving_to or home}, with 1 accounts")


async def test_who_has_what_the_first_made_may_serve(directory: Database, tmp_path: Path) -> None:
    await lives_at(directory, "cell-1")
    one, two = machine(tmp_path / "one"), machine(tmp_path / "two")
    await agree(one, directory)
    copied(one, two)
    await agree(two, directory)
    await agree(one, directory)


@pytest.mark.parametrize("name", ["cluster.key", "databases.key"])
async def test_a_key_that_is_missing_or_another_is_named(
    directory: Database, tmp_path: Path, name: str
) -> None:
    one, two = machine(tmp_path / "one"), machine(tmp_path / "two")
    await agree(one, directory)
    copied(one, two)
    (two.data / name).unlink()
    with pytest.raises(EcholiaError) as caught:
        await agree(two, directory)
    assert caught.value.code == "machines_differ"
    assert name in caught.value.detail
    assert not (two.data / name).exists(), "a key of its own would only be in the way"
    (two.data / name).write_bytes(b"x" * 32)
    with pytest.raises(EcholiaError) as caught:
        await agree(two, directory)
    assert (caught.value.code, caught.value.detail) == ("machines_differ", name)


async def test_a_redis_needs_its_key_as_well(directory: Database, tmp_path: Path) -> None:
    one, two = (machine(tmp_path / name, redis_url="redis://127.0.0.1") for name in ("one", "two"))
    await agree(one, directory)
    copied(one, two)
    with pytest.raises(EcholiaError, match=r"notices\.key"):
        await agree(two, directory)
    shutil.copy(one.data / "notices.key", two.data)
    await agree(two, directory)


async def test_another_patience_is_refused(directory: Database, tmp_path: Path) -> None:
    one, two = machine(tmp_path / "one"), machine(tmp_path / "two", takeover_seconds=60)
    await agree(one, directory)
    copied(one, two)
    with pytest.raises(EcholiaError, match="ECHOLIA_TAKEOVER_SECONDS"):
        await agree(two, directory)


async def test_no_key_lies_in_the_directory(directory: Database, tmp_path: Path) -> None:
    one = machine(tmp_path / "one")
    await agree(one, directory)
    (found,) = await directory.batch([Statement("SELECT name, print FROM agreed ORDER BY name")])
    assert [row[0] for row in found.rows] == ["ECHOLIA_TAKEOVER_SECONDS", "cluster.key", "databases.key"]
    for _, print_ in found.rows:
        assert isinstance(print_, bytes)
        assert len(print_) == 32
        assert print_ not in {path.read_bytes() for path in one.data.glob("*.key")}


class Beating:
    """A directory in which another machine goes on beating, or does not."""

    def __init__(self, directory: Database, *, alive: bool) -> None:
        self._directory = directory
        self._beats = alive
        self.asked = 0

    async def batch(self, statements: Any, tx: bool = True) -> Any:
        """As the directory's, once the other has beaten."""
        self.asked += 1
        if self._beats:
            assert await store.beat(self._directory, TWO, self.asked)
        return await self._directory.batch(statements, tx)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._directory, name)


async def joined(directory: Database, address: str) -> None:
    """A process of the other machine is in the table."""
    await store.join(directory, Worker(TWO, TWO, address))


async def test_who_has_no_address_does_not_serve_beside_others(directory: Database, tmp_path: Path) -> None:
    one = machine(tmp_path, address="", takeover_seconds=1)
    await alone(one, directory, ONE)
    await joined(directory, "10.0.0.6:8100")
    with pytest.raises(EcholiaError) as caught:
        await alone(one, Beating(directory, alive=True), ONE)
    assert caught.value.code == "machines_serve"
    await alone(one, Beating(directory, alive=True), TWO)  # it is this machine's own


async def test_the_dead_do_not_keep_who_has_no_address(directory: Database, tmp_path: Path) -> None:
    one = machine(tmp_path, address="", takeover_seconds=1)
    await joined(directory, "10.0.0.6:8100")
    looked = Beating(directory, alive=False)
    await alone(one, looked, ONE)
    assert looked.asked > 10, "it looked for as long as it takes to be sure"


def test_a_server_without_a_shared_directory_says_so_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "echolia", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    environment = clean_environment(ECHOLIA_ADDRESS="127.0.0.1:0")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert CODES["settings_invalid"].removesuffix(".") in line
    assert "ECHOLIA_DIRECTORY_URL" in line
