"""Keys of a data folder: made once for all processes, and those of a day gone with it."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.secret_files import KEY_BYTES, daily_keys, load_key


def test_the_key_is_made_once_for_all_and_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "notices.key"
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: load_key(path), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["notices.key"]


def test_half_a_key_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "notices.key").write_bytes(b"half")
    with pytest.raises(EcholiaError, match=r"notices\.key is no key") as caught:
        load_key(tmp_path / "notices.key")
    assert caught.value.code == "settings_invalid"


def test_processes_share_the_key_of_a_day_and_the_next_day_s_removes_it(tmp_path: Path) -> None:
    (tmp_path / "notices.key").write_bytes(bytes(KEY_BYTES))
    one, other = daily_keys(tmp_path, "networks"), daily_keys(tmp_path, "networks")
    first = one(20_000)
    assert first == other(20_000)
    assert stat.S_IMODE((tmp_path / "networks-20000.key").stat().st_mode) == 0o600
    assert one(20_001) == other(20_001) != first
    assert sorted(each.name for each in tmp_path.iterdir()) == ["networks-20001.key", "notices.key"]


def test_where_no_key_can_be_kept_each_process_has_one_of_its_own(tmp_path: Path) -> None:
    one, other = daily_keys(tmp_path / "none", "networks"), daily_keys(tmp_path / "none", "networks")
    assert one(20_000) != other(20_000)
    (tmp_path / "networks-20000.key").write_bytes(b"half")
    assert len(daily_keys(tmp_path, "networks")(20_000)) == KEY_BYTES
