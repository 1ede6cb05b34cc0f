"""Two real commands pair two real homes; what goes wrong on the way shares nothing and says so."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.command_line import Terminal, echolia, finished, next_step, paired, result, started

pytestmark = pytest.mark.slow


def test_a_phone_joins_and_both_sync(new_home: Path, tmp_path: Path) -> None:
    result("add", "from the laptop", home=new_home)
    paired(new_home, tmp_path / "phone")
    assert result("sync", home=new_home)["pushed"] == 1
    assert result("sync", home=tmp_path / "phone")["pulled"] == 1
    assert result("list", home=tmp_path / "phone")["records"][0]["title"] == "from the laptop"
    listed = result("devices", home=tmp_path / "phone")["devices"]
    assert [one["this"] for one in listed] == [False, True]


def test_people_pair_at_terminals(new_home: Path, tmp_path: Path) -> None:
    pair = Terminal("pair", home=new_home, COLUMNS="500")
    shown = pair.wait_for("Show this code to nobody else.")
    code = next(word for word in shown.split() if word.startswith("echolia:"))
    join = Terminal("join", code, home=tmp_path / "phone")
    digits = join.wait_for("other device:  ").partition("other device:  ")[2].split()
    while not digits:
        assert join.read()
        digits = join.shown.partition("other device:  ")[2].split()
    pair.wait_for("The six digits it shows: ")
    pair.type(f"{int(digits[0]) ^ 1:06}\n")
    pair.wait_for("Tries left: 2.")
    pair.type(f"{digits[0][:3]} {digits[0][3:]}\n")
    assert (join.end(), pair.end()) == (0, 0)
    assert "Traceback" not in pair.shown + join.shown


def test_three_wrong_tries_end_it_and_share_nothing(new_home: Path, tmp_path: Path) -> None:
    pair = started("pair", "--json", "--digits-from-stdin", home=new_home)
    join = started("join", next_step(pair)["code"], "--json", home=tmp_path / "phone")
    digits = next_step(join)["digits"]
    assert pair.stdin is not None
    pair.stdin.write(f"{int(digits) ^ 1:06}\n" * 3)
    pair.stdin.flush()
    assert [next_step(pair)["step"] for _ in range(3)] == ["guest", "digits_wrong", "digits_wrong"]
    code, errors = finished(pair)
    assert code == 1
    assert json.loads(errors)["error"]["code"] == "pairing_check_failed"
    code, errors = finished(join)
    assert code == 1
    assert json.loads(errors)["error"]["code"] == "pairing_expired"
    assert len(result("devices", home=new_home)["devices"]) == 1
    assert echolia("list", home=tmp_path / "phone").stderr.endswith(b"[home_missing]\n")


def test_input_that_ends_ends_it(new_home: Path, tmp_path: Path) -> None:
    pair = started("pair", "--json", home=new_home)
    join = started("join", "-", "--json", home=tmp_path / "phone")
    assert join.stdin is not None
    join.stdin.write(next_step(pair)["code"] + "\n")
    join.stdin.flush()
    next_step(join)
    next_step(pair)
    code, errors = finished(pair)  # closes its standard input
    assert (code, json.loads(errors)["error"]["code"]) == (1, "pairing_failed")
    assert finished(join)[0] == 1


@pytest.mark.parametrize("code", ["echolia:", "echolia:AAAA", "nonsense", "", "echolia:é"])
def test_what_is_no_code_is_refused(code: str, tmp_path: Path) -> None:
    done = echolia("join", code, home=tmp_path / "phone")
    assert done.returncode == 1
    assert done.stderr.endswith(b"[pairing_code_invalid]\n")


def test_control_c_ends_both_sides_quietly(new_home: Path, tmp_path: Path) -> None:
    pair = started("pair", "--json", home=new_home)
    join = started("join", next_step(pair)["code"], "--json", home=tmp_path / "phone")
    next_step(join)
    next_step(pair)
    for process in (join, pair):  # the other way round the joining one would be told that it failed
        process.send_signal(signal.SIGINT)
        code, errors = finished(process)
        assert code == 130
        assert "Traceback" not in errors
    paired(new_home, tmp_path / "phone")  # nothing is left in the way of another try
