"""Keys as a new user meets them: words written down, tried, lost devices, words alone on an empty machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.command_line import Terminal, in_process, paired, result

ROW = re.compile(r"(\d+) ([a-z]+)")


def words_of(shown: str) -> str:
    """The 24 words, from the rows in which they are shown."""
    found = {int(n): word for n, word in ROW.findall(shown) if 1 <= int(n) <= 24}
    return " ".join(found[n] for n in range(1, 25))


def code(*words: str, home: Path, stdin: str = "") -> str:
    """The code that a command fails with."""
    done = in_process(*words, home=home, stdin=stdin)
    assert done.exit_code == 1
    return done.stderr.rstrip().rpartition("[")[2].rstrip("]")


@pytest.mark.slow
def test_a_new_user_writes_the_words_down_and_rebuilds_from_them(server: str, tmp_path: Path) -> None:
    laptop, new = tmp_path / "laptop", tmp_path / "new"
    terminal = Terminal("init", "--server", server, home=laptop)
    shown = terminal.wait_for("Press Enter once they are written down.")
    words = words_of(shown.partition("These words")[2])
    terminal.type("\n")
    terminal.wait_for("Word ")
    terminal.type("wrong\n")
    terminal.wait_for("That is another word; look again.")
    answered: list[str] = []
    while len(answered) < 3:
        asked = re.findall(r"Word (\d+)\?", terminal.shown)[-1]
        if asked not in answered:
            answered.append(asked)
            terminal.type(words.split()[int(asked) - 1] + "\n")
        elif not terminal.read():
            break
    assert terminal.end() == 0
    made = result("add", "Before it was lost", home=laptop)["id"]
    result("sync", home=laptop)

    assert result("drill", home=laptop, stdin=words) == {"opens": True, "generation": 1}
    assert "phrase     tried" in in_process("status", home=laptop).stdout
    assert code("drill", home=laptop, stdin="one two") == "phrase_invalid"
    assert code("drill", home=laptop, stdin="abandon " * 23 + "art") == "phrase_other"
    wrong = words.replace(words.split()[0], "zoo", 1)
    assert code("recover", "--server", server, home=new, stdin=wrong) == "phrase_invalid"
    assert code("recover", "--server", server, home=new, stdin="abandon " * 23 + "art") == "account_unknown"
    assert code("recover", "--server", server, home=laptop, stdin=words) == "home_exists"

    said = in_process("recover", "--server", server, home=new, stdin=words)
    assert said.exit_code == 0, said.stderr
    assert "Next: echolia sync" in said.stdout
    result("sync", home=new)
    assert result("show", made, home=new)["fields"]["body"] == "Before it was lost"
    lost = next(one["id"] for one in result("devices", home=new)["devices"] if not one["this"])
    assert result("revoke", lost, "--yes", home=new) == {"revoked": lost}
    assert code("sync", home=laptop) == "device_revoked"
    assert result("status", home=new)["generation"] == 2


@pytest.mark.slow
def test_the_words_are_replaced_and_the_device_in_ones_hand_leaves(
    new_home: Path, server: str, tmp_path: Path
) -> None:
    phone = tmp_path / "phone"
    paired(new_home, phone)
    words = result("phrase", "--yes", home=new_home)["phrase"]
    told = in_process("sync", home=phone)
    assert "Another device has replaced the recovery phrase" in told.stderr
    assert result("drill", home=phone, stdin=words)["generation"] == 2
    assert result("rotate", home=phone)["generation"] == 3
    this = result("status", home=phone)["device"]
    result("revoke", this, "--yes", home=phone)
    assert code("sync", home=phone) == "device_revoked"
    result("sync", home=new_home)
    assert result("status", home=new_home)["generation"] == 4
    recovered = result("recover", "--server", server, home=tmp_path / "new", stdin=words)
    assert recovered["account"] == result("status", home=new_home)["account"]


@pytest.mark.slow
def test_a_new_device_is_told_of_and_confirmed(new_home: Path, tmp_path: Path) -> None:
    phone, tablet = tmp_path / "phone", tmp_path / "tablet"
    paired(new_home, phone)
    paired(new_home, tablet)
    told = in_process("sync", home=phone)
    assert "A device was added to the account" in told.stderr
    added = result("status", home=tablet)["device"]
    assert code("confirm", added[:8], home=tablet) == "device_new"
    assert code("confirm", "00", home=phone) == "device_unknown"
    assert result("confirm", added[:8], home=phone) == {"confirmed": added}
    listed = {one["id"]: one for one in result("devices", home=phone)["devices"]}
    assert listed[added]["confirmed"]
    assert listed[added]["added_by"] == result("status", home=new_home)["device"]
