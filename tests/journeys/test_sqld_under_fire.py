"""A server whose accounts live on an sqld that is killed, restarted, slow, mute or full while devices use it:
what they are told, that nothing acknowledged is lost, and that all goes on by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.crowd import Crowd, crowded
from tests.support.process import ServerProcess
from tests.support.slow_proxy import SlowProxy
from tests.support.sqld import SqldProcess

pytestmark = [pytest.mark.service, pytest.mark.slow]

BUSY, UNCERTAIN, FULL = (503, "storage_busy"), (503, "storage_uncertain"), (507, "storage_full")
Start = Callable[..., SqldProcess]


@pytest.fixture
def start(service_binary: Callable[[str, str], str], tmp_path: Path) -> Iterator[Start]:
    """Starts the test's sqld."""
    with ExitStack() as stack:

        def start(disk: str = "") -> SqldProcess:
            process = SqldProcess(service_binary, tmp_path / "cell", disk=disk)
            process.start()
            stack.callback(process.stop)
            return process

        yield start


@asynccontextmanager
async def server_of(cell: SqldProcess, folder: Path, url: str = "") -> AsyncIterator[ServerProcess]:
    """A server process that puts new accounts there, asked at `url`."""
    homes = cell.folder / "homes.toml"
    homes.write_text(
        f'[cell-1]\nkind = "sqld"\nurl = "{url or cell.url}"\nadmin_url = "{cell.admin_url}"\n'
        'admin_key_file = "admin.key"\nsigning_key_file = "signing.pem"\n'
    )
    with ServerProcess(folder / "data", homes=str(homes), new_accounts="cell-1") as server:
        yield server
    assert "internal" not in server.log.read_text()


def tell(case: str, crowd: Crowd) -> None:
    """Print what was answered, for whoever asks for it."""
    for said, times in sorted(crowd.said.items()):
        print(f"{case}: {said.asked} {said.status} {said.code} × {times}")  # noqa: T201


async def test_killed_and_started_again(start: Start, tmp_path: Path) -> None:
    cell = start()
    async with server_of(cell, tmp_path) as server, crowded(server.url) as crowd:
        for _ in range(4):
            await crowd.go_on()
            cell.kill()
            refused = crowd.said.total()
            await crowd.until(lambda refused=refused: crowd.said.total() > refused + 8)  # type: ignore[misc]
            cell.start()
        await crowd.go_on()
    tell("killed", crowd)
    assert crowd.refusals() <= {BUSY, UNCERTAIN, (409, "account_exists")}
    assert crowd.refusals() & {BUSY, UNCERTAIN}


async def test_restarted_in_order(start: Start, tmp_path: Path) -> None:
    cell = start()
    async with server_of(cell, tmp_path) as server, crowded(server.url) as crowd:
        for _ in range(4):
            await crowd.go_on()
            cell.stop()
            cell.start()
        await crowd.go_on()
    tell("restarted", crowd)
    assert crowd.refusals() <= {BUSY, UNCERTAIN, (409, "account_exists")}


async def test_slow(start: Start, tmp_path: Path) -> None:
    cell = start()
    async with (
        SlowProxy(cell.port).listening() as proxy,
        server_of(cell, tmp_path, proxy.url) as server,
        crowded(server.url) as crowd,
    ):
        await crowd.go_on()
        proxy.delay_s = 0.5
        await crowd.go_on()
        proxy.delay_s = 0.0
        await crowd.go_on()
    tell("slow", crowd)
    assert crowd.refusals() == set(), "who waits is answered"


async def test_mute(start: Start, tmp_path: Path) -> None:
    cell = start()
    async with (
        SlowProxy(cell.port).listening() as proxy,
        server_of(cell, tmp_path, proxy.url) as server,
        crowded(server.url) as crowd,
    ):
        await crowd.go_on()
        proxy.delay_s = 3600.0
        await crowd.until(lambda: {BUSY, UNCERTAIN} & crowd.refusals() != set())
        proxy.delay_s = 0.0
        await crowd.go_on()
    tell("mute", crowd)
    assert crowd.refusals() <= {BUSY, UNCERTAIN, (409, "account_exists")}


async def test_full(start: Start, tmp_path: Path) -> None:
    cell = start(disk="64m")
    async with server_of(cell, tmp_path) as server, crowded(server.url) as crowd:
        await crowd.go_on()
        other = cell.fill_disk()
        await crowd.until(lambda: FULL in crowd.refusals())
        refused = crowd.said.total()
        await crowd.until(lambda: crowd.said.total() > refused + 100)
        other.unlink()
        await crowd.go_on()
    tell("full", crowd)
    assert crowd.refusals() <= {FULL, BUSY, UNCERTAIN, (409, "account_exists")}
