"""What the server knows, and which devices hold what, told by command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echolia.client.cli.ledger import shown
from echolia.core.ids import b64
from tests.support.command_line import in_process, paired, result, server_process

pytestmark = pytest.mark.slow


def test_the_ledger_is_what_the_server_has(new_home: Path) -> None:
    result("add", "a secret text", "--title", "A secret title", home=new_home)
    result("sync", home=new_home)
    status = result("status", home=new_home)
    facts = {fact["place"]: fact for fact in result("ledger", home=new_home)["facts"]}
    assert facts["directory.accounts.account"]["value"] == b64(bytes.fromhex(status["account"]))
    assert facts["user.runs.changes"]["value"] == {"count": 1, "runs": 1}
    assert all(fact["what"] and fact["why"] for fact in facts.values())
    done = in_process("ledger", home=new_home)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == len(facts)
    assert ["the account's id, random", status["account"], "Tells accounts apart."] in rows
    assert "secret" not in done.stdout
    assert "the server's own word" in done.stderr


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "not counted"),
        (True, "yes"),
        (0, "0"),
        ([], "none"),
        ({}, "none"),
        (["one", 2], "one, 2"),
        ({"count": 2, "bytes": 1500}, "2; 1,500 bytes"),
        ({b64(bytes(16)): {"runs": 1, "bytes": 7}}, f"{'0' * 32}: runs: 1, 7 bytes"),
        ({"at_ms": "never"}, "never"),
        ({"bytes": None}, "bytes: not counted"),
        (1.5, "1.5"),
    ],
)
def test_values_for_people(value: Any, expected: str) -> None:
    assert shown(value) == expected


def test_times_are_told_as_the_clock_on_the_wall_shows_them() -> None:
    assert shown({"earliest_ms": 0, "latest_ms": 86_400_000 * 400}).startswith("earliest: 19")


def test_on_how_many_devices_a_thing_is(new_home: Path, tmp_path: Path) -> None:
    phone = tmp_path / "phone"
    made = result("add", "x", home=new_home)["id"]
    assert "on this device, the only one, and not sent yet" in in_process("show", made, home=new_home).stdout
    result("sync", home=new_home)
    assert "on this device, the only one\n" in in_process("show", made, home=new_home).stdout
    assert "copies     everything is on this device, the only one" in status(new_home)
    paired(new_home, phone)
    result("sync", home=new_home)
    this, other = (result("status", home=home)["device"] for home in (new_home, phone))
    assert f"on 1 of 2 devices; not yet on {other[:8]}" in in_process("show", made, home=new_home).stdout
    assert "copies     1 things are not on every device yet" in status(new_home)
    for home in (phone, new_home):
        result("sync", home=home)
    assert "on all 2 devices" in in_process("show", made, home=new_home).stdout
    receipt = result("show", made, home=new_home)["receipt"]
    assert receipt == {"on": sorted([this, other]), "lacking": [], "pending": False}
    assert "copies     everything is on all 2 devices" in status(new_home)
    result("edit", made, "y", home=new_home)
    assert "on this device only, of 2" in in_process("show", made, home=new_home).stdout
    assert result("status", home=new_home)["not_everywhere"] == 1


def status(home: Path) -> str:
    """What `echolia status` says."""
    return in_process("status", home=home).stdout


def test_a_server_that_is_away_has_no_ledger(tmp_path: Path) -> None:
    with server_process(tmp_path / "data") as address:
        result("init", "--server", address, home=tmp_path / "home")
    done = in_process("ledger", home=tmp_path / "home")
    assert done.exit_code == 1
    assert done.stderr.endswith("[server_unreachable]\n")
