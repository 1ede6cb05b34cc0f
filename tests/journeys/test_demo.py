"""The demonstration keeps its promises, shows them, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from echolia.client.cli.demo.thief import search, spellings, stored_changes
from tests.support.command_line import Terminal, echolia

pytestmark = pytest.mark.slow


def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    done = echolia("demo", "--json", "--keep", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["promises"] == dict.fromkeys(
        [
            "notes_arrive",
            "texts_merge",
            "conflicts_are_flagged",
            "devices_agree",
            "nothing_to_read_on_the_server",
        ],
        True,
    )
    kept = Path(outcome["kept"])
    assert len(list(stored_changes(kept / "server"))) == outcome["changes_stored"] == 5
    # The same search finds them where they are in the clear, so finding none on the server means something.
    everywhere = search(kept, ["Surprise party for Ada", "The grey heron"])
    assert everywhere.found == ("Surprise party for Ada", "The grey heron")


def test_the_demo_tells_its_story_and_cleans_up(tmp_path: Path) -> None:
    done = echolia("demo", TMPDIR=str(tmp_path))
    told = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    for part in [
        "A server that cannot read",
        "Recovery phrase",
        "The phone shows",
        "They meet again",
        "not one is there",
    ]:
        assert part in told
    assert "does not hold" not in told
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    terminal = Terminal("demo", home=tmp_path / "unused", TMPDIR=str(tmp_path))
    terminal.wait_for("A laptop makes an account")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", range(8))
def test_every_spelling_is_searched(number: int, tmp_path: Path) -> None:
    form = list(spellings("surprise party"))[number]
    (tmp_path / "disk").write_bytes(b"\0" * 1000 + form + b"\xff")
    assert search(tmp_path, ["surprise party"]).found == ("surprise party",)
    assert search(tmp_path, ["another phrase"]).found == ()
