"""Homes: private, owned by one process at a time, and honest about damage."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from echolia.client import Device, EcholiaError, declare
from echolia.client.schema import MIGRATIONS
from tests.support.devices import SERVER, World

IN_ANOTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from echolia.client import Device, EcholiaError

async def main():
    try:
        async with await Device.open(Path(sys.argv[1])) as device:
            await device.collection("entries").create({"title": "from another process"})
            print("opened", flush=True)
            if len(sys.argv) > 2:
                await asyncio.to_thread(sys.stdin.readline)
    except EcholiaError as error:
        print(error.code)

asyncio.run(main())
"""


def other_process(home: Path, *more: str) -> subprocess.Popen[str]:
    """Another process that opens the home."""
    return subprocess.Popen(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(home), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def modes_of(folder: Path) -> dict[str, int]:
    """The permissions of a folder and of what is in it."""
    return {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}


def contents_of(folder: Path, but: str) -> bytes:
    """The bytes of all files in a folder but one."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.name != but)


async def code_of_opening(home: Path) -> str:
    """The code that opening ends with."""
    with pytest.raises(EcholiaError) as error:
        await Device.open(home)
    return error.value.code


@pytest.fixture
async def home(world: World) -> Path:
    """A closed home with one entry."""
    device, _ = await Device.init(world.folder / "home", SERVER, **world.around("home"))
    await device.phrase_kept()
    await device.collection("entries").create({"title": "kept", "body": "text"})
    await device.aclose()
    return world.folder / "home"


async def test_nobody_else_can_read_it(home: Path) -> None:
    modes = modes_of(home)
    assert modes.pop(home.name) == 0o700
    assert modes == dict.fromkeys(("echolia.db", "lock", "vault"), 0o600)


async def test_no_secret_is_in_the_database_or_in_a_representation(world: World, home: Path) -> None:
    async with await Device.open(home, **world.around("home")) as device:
        vault = device._opened.vault
        secrets = [
            vault.keys.sign_secret,
            vault.keys.box_secret,
            vault.secrets.index,
            *vault.secrets.keys.values(),
        ]
        told = repr(vault) + repr(device._replica.identity) + repr(device._opened)
        files = contents_of(home, but="vault")
    for secret in secrets:
        assert secret not in files
        assert secret.hex() not in told
        assert repr(secret)[2:-1] not in told


async def test_two_processes_on_one_home(home: Path) -> None:
    other = other_process(home, "hold")
    assert other.stdout is not None
    assert other.stdout.readline() == "opened\n"
    assert await code_of_opening(home) == "home_locked"
    waiting = asyncio.create_task(Device.open(home, wait_s=20))
    await asyncio.sleep(0)
    await asyncio.to_thread(other.communicate, "\n")
    async with await waiting as device:
        assert await device.collection("entries").count() == 2
        assert other_process(home).communicate()[0] == "home_locked\n"


async def test_a_home_that_is_none(tmp_path: Path) -> None:
    assert await code_of_opening(tmp_path / "nowhere") == "home_missing"
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "file").write_text("text")
    assert await code_of_opening(tmp_path / "file") == "home_missing"


async def test_a_home_is_not_overwritten(world: World, home: Path) -> None:
    with pytest.raises(EcholiaError, match="home_exists"):
        await Device.init(home, SERVER, **world.around("home"))
    owner = await world.first()
    async with owner.pair() as pairing:
        joining = Device.join(home, pairing.code, **world.around("home"))
        with pytest.raises(EcholiaError, match="home_exists"):
            await joining.__aenter__()


async def test_a_home_that_lost_its_vault_is_not_overwritten(world: World, home: Path) -> None:
    await asyncio.to_thread((home / "vault").unlink)
    before = contents_of(home, but="lock")
    with pytest.raises(EcholiaError, match="home_damaged"):
        await Device.init(home, SERVER, **world.around("home"))
    owner = await world.first()
    async with owner.pair() as pairing:
        with pytest.raises(EcholiaError, match="home_damaged"):
            await Device.join(home, pairing.code, **world.around("home")).__aenter__()
    assert contents_of(home, but="lock") == before


@pytest.mark.parametrize("damage", ["text", "empty", "missing", "cut", "header", "pages"])
async def test_a_damaged_database(home: Path, damage: str) -> None:
    path = home / "echolia.db"
    whole = path.read_bytes()
    match damage:
        case "text":
            path.write_bytes(b"this is no database" * 1000)
        case "empty":
            path.write_bytes(b"")
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "header":
            path.write_bytes(bytes(100) + whole[100:])
        case "pages":
            path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    assert await code_of_opening(home) == "home_damaged"


@pytest.mark.parametrize("signatures", ["61ff", "01", "ff"])
async def test_a_device_log_that_is_damaged(home: Path, signatures: str) -> None:
    with sqlite3.connect(home / "echolia.db") as connection:
        connection.execute("UPDATE device_log SET signatures = ?", (bytes.fromhex(signatures),))
    connection.close()
    assert await code_of_opening(home) == "home_damaged"


async def test_an_object_that_is_damaged(home: Path) -> None:
    with sqlite3.connect(home / "echolia.db") as connection:
        connection.execute("UPDATE objects SET shown = x'00', view = x'ff'")
    connection.close()
    async with await Device.open(home) as device:
        entries = device.collection("entries")
        with pytest.raises(EcholiaError, match="home_damaged"):
            await entries.list()
        [(id_,)] = device._replica.database.rows("SELECT id FROM objects")
        with pytest.raises(EcholiaError, match="home_damaged"):
            await entries.update(id_.hex(), {"title": "x"})


async def test_a_damaged_vault(home: Path) -> None:
    (home / "vault").write_bytes(b"\xa1\x00")
    assert await code_of_opening(home) == "home_damaged"


async def test_a_vault_that_is_no_file(home: Path) -> None:
    (home / "vault").unlink()
    os.mkfifo(home / "vault")
    assert await code_of_opening(home) == "home_damaged"


async def test_a_database_whose_schema_is_no_text(home: Path) -> None:
    with sqlite3.connect(home / "echolia.db") as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = CAST(x'43524541544520ff' AS TEXT)")
    connection.close()
    assert await code_of_opening(home) == "home_damaged"


async def test_the_database_of_another_home(world: World, home: Path) -> None:
    other, _ = await Device.init(world.folder / "other", SERVER, **world.around("other"))
    await other.aclose()
    (home / "echolia.db").write_bytes((world.folder / "other" / "echolia.db").read_bytes())
    assert await code_of_opening(home) == "home_damaged"


async def test_a_home_of_a_newer_version(home: Path) -> None:
    with sqlite3.connect(home / "echolia.db") as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    assert await code_of_opening(home) == "home_newer"


async def test_collections_of_an_app(world: World, home: Path) -> None:
    habits = declare("habits", name="multi", done="counter")
    async with await Device.open(home, collections=[habits], **world.around("home")) as device:
        id_ = await device.collection("habits").create({"name": "Run", "done": 1})
    async with await Device.open(home, **world.around("home")) as device:
        assert (await device.status()).objects == {"entries": 1, "habits": 1}
        with pytest.raises(EcholiaError, match="collection_unknown"):
            device.collection("habits")
    async with await Device.open(home, collections=[habits], **world.around("home")) as device:
        assert (await device.collection("habits").get(id_)).fields == {"name": "Run", "done": 1}


async def test_the_phrase_stays_until_it_is_kept(world: World) -> None:
    folder = world.folder / "new"
    device, phrase = await Device.init(folder, SERVER, **world.around("new"))
    account = device.account
    await device.aclose()
    again, same = await Device.init(folder, SERVER, **world.around("new"))
    assert (again.account, same) == (account, phrase)
    assert len(phrase.split()) == 24
    await again.phrase_kept()
    await again.aclose()
    with pytest.raises(EcholiaError, match="home_exists"):
        await Device.init(folder, SERVER, **world.around("new"))


async def test_a_server_that_is_away_at_first(world: World) -> None:
    folder, transport = world.folder / "new", world.transport("new")
    transport.down = True
    with pytest.raises(EcholiaError, match="server_unreachable"):
        await Device.init(folder, SERVER, **world.around("new"))
    assert await code_of_opening(folder) == "home_missing"
    transport.down = False
    device, _ = await Device.init(folder, SERVER, **world.around("new"))
    await device.aclose()


@pytest.mark.parametrize("address", ["", "server.test", "ftp://x", "http://", "http://a b", "http://u:p@x"])
async def test_what_is_no_address(tmp_path: Path, address: str) -> None:
    with pytest.raises(EcholiaError, match="server_unreachable"):
        await Device.init(tmp_path / "new", address)
    assert not (tmp_path / "new").exists()


async def test_a_cancelled_unit_of_work_is_waited_for(world: World, home: Path) -> None:
    """A thread that outlives its caller would report to an event loop that may be gone."""
    begun, released, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert released.wait(20)
        ended.set()

    async with await Device.open(home, **world.around("home")) as device:
        task = asyncio.create_task(device._replica.run(work))
        await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, released.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()


async def test_what_a_cancelled_unit_of_work_raises_is_not_printed(
    world: World, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody has taken is logged with its traceback once it is forgotten."""
    begun, released = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert released.wait(20)
        raise EcholiaError("object_unknown")

    async with await Device.open(home, **world.around("home")) as device:
        task = asyncio.create_task(device._replica.run(work))
        await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, released.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
    assert caplog.records == []
