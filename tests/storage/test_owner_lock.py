"""A data folder has one owner, for as long as that process lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from echolia.storage.engine import FolderOwned
from echolia.storage.owner_lock import OwnerLock

OWNS = """
import sys
from pathlib import Path
from echolia.storage.owner_lock import OwnerLock
lock = OwnerLock(Path(sys.argv[1]))
print("owned", flush=True)
sys.stdin.read()
"""


def test_a_folder_is_owned_once_until_released(tmp_path: Path) -> None:
    lock = OwnerLock(tmp_path / "data")
    with pytest.raises(FolderOwned) as caught:
        OwnerLock(tmp_path / "data")
    assert caught.value.code == "storage_owned"
    other = OwnerLock(tmp_path / "other")
    lock.release()
    lock.release()
    OwnerLock(tmp_path / "data").release()
    other.release()


def test_another_process_owns_until_it_dies(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        with pytest.raises(FolderOwned):
            OwnerLock(tmp_path)
        owner.kill()
        owner.wait(30)
    OwnerLock(tmp_path).release()


def test_the_lock_stays_private_and_in_place(tmp_path: Path) -> None:
    OwnerLock(tmp_path / "data").release()
    assert (tmp_path / "data" / "lock").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
