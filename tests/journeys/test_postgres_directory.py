"""A real server whose directory is in a real PostgreSQL: devices pair and sync, also when it is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from echolia.client import Device, EcholiaError
from echolia.core.errors import CODES
from echolia.restoring import restored
from echolia.storage.engine import Database, Statement, StorageError
from echolia.storage.migrate import load_migrations
from echolia.storage.postgres.connections import Address
from echolia.storage.postgres.directory import open_postgres_directory
from tests.deployment.processes import clean_environment, get
from tests.support.accounts import Account
from tests.support.engines import dumped
from tests.support.postgres import Postgres
from tests.support.process import ServerProcess
from tests.support.server import served

pytestmark = [pytest.mark.service, pytest.mark.slow]
CANARY = "kanariya"


@pytest.fixture
def durable(service_binary: Callable[[str, str], str]) -> Iterator[Postgres]:
    """A PostgreSQL of the test's own that writes to the disk what it acknowledges."""
    with Postgres(service_binary, settings={}) as cluster:
        yield cluster


@pytest.fixture
async def directory(durable: Postgres) -> AsyncIterator[Database]:
    """An empty directory there."""
    address = Address(durable.fresh(), 2)
    db = await open_postgres_directory(address, load_migrations("directory"))
    yield db
    await db.close()


async def joined(laptop: Device, home: Path) -> Device:
    """A second device of the laptop's account."""
    async with laptop.pair() as pairing, Device.join(home, pairing.code) as joining:
        digits = asyncio.create_task(joining.digits())
        await pairing.guest()
        confirming = asyncio.create_task(pairing.confirm(await digits))
        phone = await joining.finish()
        await confirming
    return phone


async def eventually(device: Device) -> None:
    """Sync, as an app does, until it succeeds."""
    async with asyncio.timeout(60):
        while True:
            try:
                await device.sync()
                return
            except EcholiaError as error:
                if error.code not in ("unavailable", "storage_busy", "server_unreachable"):
                    raise


async def test_devices_pair_and_sync_and_it_is_killed_meanwhile(tmp_path: Path, durable: Postgres) -> None:
    durable.execute(f"CREATE ROLE served LOGIN PASSWORD '{CANARY}'")
    url = durable.fresh(migrated=False)
    durable.execute(f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO served")
    address = url.replace("echolia@", f"served:{CANARY}@")
    with ServerProcess(tmp_path / "data", directory_url=address, directory_seconds="1") as server:
        laptop, _ = await Device.init(tmp_path / "laptop", server.url)
        phone = await joined(laptop, tmp_path / "phone")
        async with laptop, phone:
            await laptop.collection("entries").create({"body": f"{CANARY} one"})
            await laptop.sync()
            await phone.sync()
            await asyncio.to_thread(durable.stop, "immediate")
            assert get(server.port, "/readyz")[0] == 503
            assert get(server.port, "/healthz")[0] == 200
            await phone.collection("entries").create({"body": f"{CANARY} two"})
            await asyncio.to_thread(durable.start)
            await eventually(phone)
            await eventually(laptop)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await eventually(laptop)
            tablet = await joined(laptop, tmp_path / "tablet")
            async with tablet:
                await tablet.sync()
                for device in (laptop, phone, tablet):
                    bodies = {r.fields["body"] async for r in device.collection("entries").iterate()}
                    assert bodies == {f"{CANARY} {word}" for word in ("one", "two")}
    assert not (tmp_path / "data" / "directory.db").exists()
    for told in (server.log.read_text(), durable.log, dumped(url).decode("latin-1")):
        assert CANARY not in told.replace(f"PASSWORD '{CANARY}'", "")


async def test_nothing_acknowledged_is_lost_when_it_crashes(durable: Postgres, directory: Database) -> None:
    acknowledged: set[bytes] = set()
    unknown: set[bytes] = set()
    codes: set[str] = set()
    ending = asyncio.Event()

    async def write(name: int) -> None:
        number = 0
        while not ending.is_set():
            number += 1
            row = b"%d-%d" % (name, number)
            put = "INSERT INTO challenges (challenge, device, expires_ms) VALUES (?, ?, 1)"
            try:
                await directory.batch([Statement(put, (row + half, row)) for half in (b"a", b"b")])
                acknowledged.add(row)
            except StorageError as error:
                codes.add(error.code)
                if error.code == "unavailable":
                    unknown.add(row)

    writers = [asyncio.create_task(write(name)) for name in range(8)]
    for _ in range(3):
        before = len(acknowledged)
        async with asyncio.timeout(60):
            while len(acknowledged) < before + 100:  # noqa: ASYNC110
                await asyncio.sleep(0)
        await asyncio.to_thread(durable.stop, "immediate")
        await asyncio.to_thread(durable.start)
    ending.set()
    await asyncio.gather(*writers)
    [found] = await directory.batch(
        [Statement("SELECT device, count(*) FROM challenges GROUP BY device ORDER BY device")]
    )
    there = {device for device, _ in found.rows}
    assert all(count == 2 for _, count in found.rows)
    assert acknowledged <= there <= acknowledged | unknown
    assert codes <= {"unavailable", "storage_busy"}


async def test_a_dump_that_is_brought_back_is_the_directory(tmp_path: Path, postgres: Postgres) -> None:
    url, anna, ben = postgres.fresh(), Account("anna"), Account("ben")
    dump = str(tmp_path / "directory.dump")
    async with served(tmp_path / "data", directory_url=url) as ask:
        await anna.register(ask)
        there = [postgres.program("pg_dump"), "--format=custom", f"--file={dump}", url]
        await asyncio.to_thread(subprocess.run, there, check=True)  # beside the running server
        await ben.register(ask)
    back = [postgres.program("pg_restore"), "--clean", "--if-exists", f"--dbname={url}", dump]
    await asyncio.to_thread(subprocess.run, back, check=True)
    done = await restored(tmp_path / "data", None, lambda *_: None, directory_url=url)
    assert (done.accounts, done.emptied, done.failed) == (1, 0, {})
    async with served(tmp_path / "data", directory_url=url) as ask:
        assert (await anna.sign_in(ask)).status == 200
        assert (await ask("POST", "/auth/register", ben.registration())).status == 201
    postgres.drop(url)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (f"postgresql://served:{CANARY}@127.0.0.1:1/none", "directory_unreachable"),
        (f"postgresql://served:{CANARY}@127.0.0.1:1/none?{CANARY}=1", "settings_invalid"),
    ],
)
def test_a_server_that_cannot_reach_it_says_so_in_one_line(tmp_path: Path, address: str, code: str) -> None:
    command = [sys.executable, "-m", "echolia", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    environment = clean_environment(ECHOLIA_DIRECTORY_URL=address, ECHOLIA_DIRECTORY_SECONDS="1")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert CODES[code].removesuffix(".") in line and f"[{code}]" in line
    assert CANARY not in done.stdout + done.stderr
