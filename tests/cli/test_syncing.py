"""Syncing, watching, revoking and deleting by command, and what the network may do meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Json, Run
from tests.support.command_line import (
    ECHOLIA,
    Terminal,
    environment,
    finished,
    in_process,
    next_step,
    paired,
    result,
    server_process,
    started,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def phone(new_home: Path, tmp_path: Path) -> Path:
    """The home of a second device of `new_home`'s account."""
    paired(new_home, tmp_path / "phone")
    return tmp_path / "phone"


def test_a_conflict_is_told_and_decided(new_home: Path, phone: Path) -> None:
    made = result("add", "x", "--title", "Neither", home=new_home)["id"]
    result("sync", home=new_home)
    result("sync", home=phone)
    result("edit", made, "--title", "Laptop's", home=new_home)
    result("edit", made, "--title", "Phone's", home=phone)
    result("sync", home=new_home)
    report = in_process("sync", home=phone)
    assert f"Two versions of {made[:8]} stand side by side.\nDecide: echolia conflicts\n" in report.stdout
    shown = result("show", made, home=phone)
    assert {choice["value"] for choice in shown["conflicts"]["title"]} == {"Laptop's", "Phone's"}
    assert "conflict" in shown["flags"]
    text = in_process("show", made, home=phone).stdout
    assert "Laptop's   (device" in text
    assert "Phone's   (device" in text
    assert [one["id"] for one in result("list", "--conflicts", home=phone)["records"]] == [made]
    result("edit", made, "--title", "Both", home=phone)
    result("sync", home=phone)
    result("sync", home=new_home)
    assert result("show", made, home=new_home)["conflicts"] == {}
    assert result("show", made, home=new_home)["title"] == "Both"


def test_an_edit_beats_a_delete(new_home: Path, phone: Path) -> None:
    made = result("add", "x", home=new_home)["id"]
    result("sync", home=new_home)
    result("sync", home=phone)
    result("rm", made, "--yes", home=new_home)
    result("edit", made, "still needed", home=phone)
    for home in (new_home, phone, new_home):
        result("sync", home=home)
    shown = result("show", made, home=new_home)
    assert "recovered" in shown["flags"]
    assert [one["id"] for one in result("list", "--trash", home=new_home)["records"]] == [made]


def test_watching_tells_what_others_change(new_home: Path, phone: Path) -> None:
    watch = started("watch", "--json", "--count", "1", home=phone)
    made = result("add", "seen at once", home=new_home)["id"]
    result("sync", home=new_home)
    told = next_step(watch)
    assert [one["id"] for one in told["changed"]] == [made]
    assert finished(watch)[0] == 0


def test_watching_makes_the_vectors_of_what_comes(new_home: Path, phone: Path) -> None:
    result("add", "The heron came at seven.", home=new_home)
    result("embed", "--development", home=new_home)
    result("sync", home=new_home)
    watch = started("watch", "--json", home=phone)
    next_step(watch)
    result("add", "Interest rates went up again.", home=new_home)
    result("sync", home=new_home)
    told = next_step(watch)
    assert [record["collection"] for record in told["changed"]] == ["entries"]
    for _ in range(60):
        if len(_vectors(new_home)) == 2:
            break
        result("sync", home=new_home)
    assert len(_vectors(new_home)) == 2
    watch.send_signal(signal.SIGINT)
    assert finished(watch)[0] == 130


def _vectors(home: Path) -> list[str]:
    """The ids of what has a vector."""
    listed = result("list", "--collection", "vectors", home=home)["records"]
    shown = [result("show", record["id"], home=home) for record in listed]
    return [record["id"] for record in shown if "of" in record["fields"]]


def test_control_c_ends_watching_with_130(new_home: Path) -> None:
    terminal = Terminal("watch", home=new_home)
    terminal.wait_for("Ctrl-C ends.")
    assert terminal.interrupt() == 130
    assert "Traceback" not in terminal.shown


def test_a_terminated_sync_leaves_the_home_whole(new_home: Path) -> None:
    for number in range(20):
        result("add", f"note {number}", home=new_home)
    sync = started("sync", home=new_home)
    sync.send_signal(signal.SIGKILL)
    finished(sync)
    result("sync", home=new_home)
    assert result("status", home=new_home)["pending"] == 0


def test_a_reader_that_goes_away_is_no_failure(home: Path, run_json: Json) -> None:
    for number in range(50):
        run_json("add", f"note {number} " * 200)
    line = (
        f"{' '.join(ECHOLIA)} list --json | head -c 1 | wc -c; {' '.join(ECHOLIA)} list | head -n 1 | wc -l"
    )
    done = subprocess.run(
        line, shell=True, capture_output=True, text=True, env=environment(ECHOLIA_HOME=str(home)), check=True
    )
    assert done.stdout.split() == ["1", "1"]
    assert done.stderr == ""


def test_a_server_that_is_gone_loses_nothing(tmp_path: Path) -> None:
    with server_process(tmp_path / "data") as address:
        result("init", "--server", address, home=tmp_path / "home")
    made = result("add", "kept", home=tmp_path / "home")["id"]
    done = in_process("sync", "--json", home=tmp_path / "home")
    assert done.exit_code == 1
    assert json.loads(done.stderr)["error"]["code"] == "server_unreachable"
    assert result("show", made, home=tmp_path / "home")["flags"] == ["pending"]


def test_a_revoked_device_is_shut_out(new_home: Path, phone: Path) -> None:
    other = next(one["id"] for one in result("devices", home=new_home)["devices"] if not one["this"])
    assert in_process("revoke", other, home=new_home).exit_code == 2  # nobody to ask
    result("revoke", other[:8], "--yes", home=new_home)
    done = in_process("sync", home=phone)
    assert done.exit_code == 1
    assert done.stderr.endswith("[device_revoked]\n")
    assert "revoked" in in_process("devices", home=new_home).stdout
    assert in_process("revoke", "ffff", "--yes", home=new_home).stderr.endswith("[device_unknown]\n")
    this = next(one["id"] for one in result("devices", home=new_home)["devices"] if one["this"])
    assert in_process("revoke", this, "--yes", home=new_home).stderr.endswith("[device_last]\n")


def test_deleting_the_account_takes_its_id(new_home: Path) -> None:
    made = result("add", "stays here", home=new_home)["id"]
    result("sync", home=new_home)
    account = result("status", home=new_home)["account"]
    assert in_process("account", "delete", home=new_home).exit_code == 2
    assert in_process("account", "delete", "--confirm", "0" * 32, home=new_home).exit_code == 2
    terminal = Terminal("account", "delete", home=new_home)
    terminal.wait_for("to go on")
    terminal.type("no\n")
    assert terminal.end() == 2
    assert result("sync", home=new_home)["seq"] == 1
    assert result("account", "delete", "--confirm", account, home=new_home) == {"deleted": account}
    assert in_process("sync", home=new_home).exit_code == 1
    assert result("show", made, home=new_home)["title"] == "stays here"


def test_init_shows_the_phrase_once(server: str, tmp_path: Path) -> None:
    made = result("init", "--server", server, home=tmp_path / "a")
    assert len(made["phrase"].split()) == 24
    held = b"".join(file.read_bytes() for file in (tmp_path / "a").rglob("*") if file.is_file())
    assert made["phrase"].encode() not in held
    terminal = Terminal("init", "--server", server, home=tmp_path / "b")
    terminal.wait_for("written down")
    terminal.type("\n")
    terminal.wait_for("Word ")
    assert terminal.interrupt() == 130  # the words are shown again, and it goes on
    again = Terminal("init", "--server", server, home=tmp_path / "b")
    assert again.wait_for("written down").count("24 ") == 1
    again.interrupt()


def test_status_speaks_plainly(run: Run, run_json: Json) -> None:
    run_json("add", "x")
    told = run("status").stdout
    assert "to send    1" in told
    assert "1 entries" in told
