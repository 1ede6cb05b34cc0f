"""What docs/operations.md promises about the data folder: one owner, whole backups, no rollback unnoticed."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from echolia.client import Device
from echolia.core.errors import CODES, EcholiaError
from tests.deployment.conftest import Listener, serving
from tests.deployment.processes import BIN, clean_environment
from tests.support.ports import free_port

pytestmark = pytest.mark.slow


async def written(home: Path, title: str) -> str:
    """Write an entry on the device in `home` and send it; its id."""
    async with await Device.open(home) as device:
        entry = await device.collection("entries").create({"title": title})
        await device.sync()
        return entry


def refused(folder: Path) -> str:
    """What a server that cannot start on `folder`/data says."""
    command = [str(BIN / "echolia"), "serve", "--port", "0", "--data", str(folder / "data")]
    done = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_a_second_server_on_the_same_folder_refuses_to_start(server: Listener) -> None:
    assert CODES["storage_owned"] in refused(server.log.parent)


def test_a_data_folder_is_readable_by_its_user_only(tmp_path: Path) -> None:
    with serving(tmp_path):
        pass
    modes = {path.stat().st_mode & 0o077 for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]}
    assert modes == {0}


def test_an_older_version_refuses_what_a_newer_one_migrated(tmp_path: Path) -> None:
    with serving(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "data" / "directory.db") as directory:
        directory.execute(
            "INSERT INTO schema_migrations (version, checksum, applied_at) VALUES (9999, 'x', 0)"
        )
    directory.close()
    assert CODES["migration_ahead"] in refused(tmp_path)


async def test_a_copy_of_the_stopped_servers_folder_is_the_server(tmp_path: Path) -> None:
    port, home = free_port(), tmp_path / "home"
    with serving(tmp_path, port):
        device, _ = await Device.init(home, f"http://127.0.0.1:{port}")
        await device.aclose()
        await written(home, "before the move")
    shutil.copytree(tmp_path / "data", tmp_path / "moved" / "data")

    with serving(tmp_path / "moved", port):
        await written(home, "after the move")
        async with await Device.open(home) as device:
            report = await device.sync()
            assert (report.pushed, report.pulled, report.quarantined) == (0, 0, 0)
            assert (await device.status()).evidence == ()


async def test_a_backup_that_lacks_acknowledged_changes_is_noticed(tmp_path: Path) -> None:
    port, home = free_port(), tmp_path / "home"
    with serving(tmp_path, port):
        device, _ = await Device.init(home, f"http://127.0.0.1:{port}")
        await device.aclose()
        await written(home, "in the backup")
    shutil.copytree(tmp_path / "data", tmp_path / "backup" / "data")
    with serving(tmp_path, port):
        lost = await written(home, "after the backup")

    with serving(tmp_path / "backup", port):
        async with await Device.open(home) as device:
            with pytest.raises(EcholiaError) as caught:
                await device.sync()
            assert caught.value.code == "log_rolled_back"
            assert (await device.collection("entries").get(lost)).fields["title"] == "after the backup"
