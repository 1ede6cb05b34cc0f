"""A mass change by command: sync and status say what to do, brake shows it and decides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from echolia.client.blocking import BlockingDevice
from tests.cli.conftest import Run
from tests.support.command_line import finished, in_process, next_step, paired, result, started

pytestmark = pytest.mark.slow

HELD = 30


@pytest.fixture
def phone(new_home: Path, tmp_path: Path) -> Path:
    """The home of a second device, on which most of what both hold was deleted."""
    folder, phone = tmp_path / "notes", tmp_path / "phone"
    folder.mkdir()
    for number in range(HELD):
        (folder / f"note {number}.md").write_text(f"# Note {number}\n\nText.\n")
    result("import", str(folder), home=new_home)
    result("sync", home=new_home)
    paired(new_home, phone)
    result("sync", home=phone)
    for record in result("list", home=phone)["records"][:25]:
        result("rm", record["id"], "--yes", home=phone)
    result("sync", home=phone)
    return phone


def test_it_is_stopped_shown_and_rewound(new_home: Path, phone: Path) -> None:
    assert in_process("brake", home=new_home).stdout == "Nothing waits for a decision.\n"
    assert result("brake", home=new_home) == {"brake": None}
    assert result("brake", "accept", home=new_home) == {"brake": None}
    done = in_process("sync", home=new_home)
    assert done.exit_code == 1
    assert "echolia brake" in done.stderr
    assert done.stderr.endswith("(of 30 things here 25 deleted, 0 overwritten). [mass_change]\n")

    status = in_process("status", home=new_home).stdout
    assert "STOPPED    25 deletions and 0 overwrites of 30 things: echolia brake" in status
    told = result("brake", home=new_home)["brake"]
    other = result("status", home=phone)["device"]
    assert (told["held"], told["deletions"], told["overwrites"], told["complete"]) == (HELD, 25, 0, True)
    assert told["devices"] == {other: {"deletions": 25, "overwrites": 0}}
    assert told == result("status", home=new_home)["brake"]
    text = in_process("brake", home=new_home).stdout
    assert "Stopped: 25 deletions and 0 overwrites of 30 things." in text
    assert f"device {other[:8]}   25 deleted, 0 overwritten" in text
    assert "deleted      Note " in text
    assert "echolia brake rewind" in text

    rewound = result("brake", "rewind", home=new_home)
    assert rewound == {"rewound": {"restored": 25, "set_back": 0, "left": 0}}
    for home in (phone, new_home):
        result("sync", home=home)
        assert result("list", home=home)["total"] == HELD


def test_it_is_accepted_and_rewound_later(new_home: Path, phone: Path) -> None:
    assert in_process("sync", home=new_home).exit_code == 1
    done = in_process("brake", "accept", home=new_home)
    assert done.stdout == "It is applied. echolia brake rewind undoes it.\n"
    assert result("list", home=new_home)["total"] == 5
    done = in_process("brake", "rewind", home=new_home)
    assert done.stdout == "25 restored, 0 set back, 0 left as they are. echolia sync sends it.\n"
    assert result("list", home=new_home)["total"] == HELD


def test_a_decision_that_found_no_server_is_told_when_it_is_carried_out(new_home: Path, phone: Path) -> None:
    assert in_process("sync", home=new_home).exit_code == 1
    with BlockingDevice.open(new_home) as device:
        device._wrapped._replica.database.run("UPDATE brakes SET stage = 'rewinding'")
    done = result("sync", home=new_home)
    assert done["rewound"] == {"restored": 25, "set_back": 0, "left": 0}


def test_watching_tells_it_and_ends(new_home: Path, phone: Path) -> None:
    watch = started("watch", "--json", home=new_home)
    assert next_step(watch) == {"changed": [], "conflicts": [], "braked": True}
    code, errors = finished(watch)
    assert code == 1
    assert json.loads(errors)["error"]["code"] == "mass_change"


def test_what_others_changed_lately_is_rewound(new_home: Path, tmp_path: Path) -> None:
    phone = tmp_path / "phone"
    made = result("add", "as it was", home=new_home)["id"]
    result("sync", home=new_home)
    paired(new_home, phone)
    result("sync", home=phone)
    result("edit", made, "as it is", home=phone)
    result("sync", home=phone)
    result("sync", home=new_home)
    rewound = result("brake", "rewind", "--since", "1h", home=new_home)
    assert rewound == {"rewound": {"restored": 0, "set_back": 1, "left": 0}}
    assert result("show", made, home=new_home)["fields"]["body"] == "as it was"


@pytest.mark.parametrize(
    "words", [["accept", "--since", "1h"], ["--since", "1h"], ["rewind", "--since", "soon"], ["perhaps"]]
)
def test_wrong_words(run: Run, words: list[str]) -> None:
    assert run("brake", *words).exit_code == 2
