"""The pairing code as a picture: on a terminal that can show it, in a file that does not stay."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import segno

from echolia.client.cli.pairing_picture import check_name, drawn, picture
from tests.support.command_line import Terminal, finished, next_step, started

pytestmark = pytest.mark.slow

WIDE = {"COLUMNS": "500", "LINES": "60"}
ROW = re.compile("\x1b\\[38;5;16;48;5;231m([ ▀▄█]+)\x1b\\[0m")


def paired_code(shown: str) -> str:
    """The code in what a terminal showed."""
    return next(word for word in shown.split() if word.startswith("echolia:"))


def modules(shown: str) -> list[list[bool]]:
    """The rows of dark and light modules that half blocks stand for."""
    rows = []
    for line in ROW.findall(shown):
        rows.append([each in "▀█" for each in line])
        rows.append([each in "▄█" for each in line])
    return rows


def test_a_terminal_shows_the_code(new_home: Path) -> None:
    pair = Terminal("pair", home=new_home, **WIDE)
    pair.wait_for("valid for 1:5")
    pair.interrupt()
    code = paired_code(pair.shown)
    expected = [[bool(each) for each in row] for row in segno.make_qr(code, error="l").matrix_iter(border=2)]
    found = modules(pair.shown)
    assert found[: len(expected)] == expected
    assert not any(any(row) for row in found[len(expected) :])


@pytest.mark.parametrize(
    ("around", "why"),
    [
        ({"COLUMNS": "40", "LINES": "60"}, "This terminal is smaller than"),
        ({"COLUMNS": "80", "LINES": "20"}, "This terminal is smaller than"),
        ({**WIDE, "PYTHONIOENCODING": "ascii"}, "This terminal does not speak UTF-8"),
        ({**WIDE, "TERM": "dumb"}, "This terminal has no colours"),
    ],
)
def test_other_terminals_show_it_as_text(around: dict[str, str], why: str, new_home: Path) -> None:
    pair = Terminal("pair", home=new_home, **around)
    pair.wait_for("no QR code is drawn. Take the text, or write a picture by --qr FILE.png")
    pair.interrupt()
    assert why in pair.shown
    assert modules(pair.shown) == []
    assert len(paired_code(pair.shown)) > 100


def test_pipes_and_programs_get_the_text_alone(new_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drawn("echolia:AAAA") == ""
    assert capsys.readouterr().err == ""
    pair = started("pair", home=new_home)
    assert pair.stdout is not None
    lines = [pair.stdout.readline() for _ in range(5)]
    assert "echolia join echolia:" in lines[2]
    assert lines[4] == "Show this code to nobody else.\n"
    pair.send_signal(signal.SIGINT)
    out, _ = pair.communicate(timeout=60)
    assert out == ""


@pytest.mark.parametrize("name", ["code.png", "code.SVG"])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_picture_is_for_its_user_and_goes_with_the_pairing(
    name: str, end: signal.Signals, new_home: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    pair = started("pair", "--json", "--qr", str(path), home=new_home)
    next_step(pair)
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    pair.send_signal(end)
    finished(pair)
    assert not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["laptop"]


def test_a_picture_goes_when_the_other_device_has_joined(new_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "code.png"
    pair = started("pair", "--json", "--qr", str(path), home=new_home)
    join = started("join", next_step(pair)["code"], "--json", home=tmp_path / "phone")
    digits = next_step(join)["digits"]
    assert path.exists()
    assert pair.stdin is not None
    pair.stdin.write(f"{digits}\n")
    pair.stdin.flush()
    assert finished(join)[0] == finished(pair)[0] == 0
    assert not path.exists()


async def test_a_picture_does_not_outlive_its_code(tmp_path: Path) -> None:
    path = tmp_path / "code.png"
    with picture(path, "echolia:AAAA", 60.0):
        await asyncio.sleep(0)
        assert path.exists()
    with picture(path, "echolia:AAAA", 0.0):
        assert path.exists()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not path.exists()


@pytest.mark.parametrize("name", ["code.jpg", "code", "there.png", "link.png"])
def test_a_name_that_will_not_do(name: str, new_home: Path, tmp_path: Path) -> None:
    (tmp_path / "there.png").write_text("somebody's")
    (tmp_path / "link.png").symlink_to(tmp_path / "elsewhere")
    pair = started("pair", "--json", "--qr", str(tmp_path / name), home=new_home)
    ended, errors = finished(pair)
    assert ended == 2
    assert "--qr" in errors
    assert (tmp_path / "there.png").read_text() == "somebody's"
    assert not (tmp_path / "elsewhere").exists()
    check_name(None)


@pytest.mark.service
def test_a_camera_reads_it(service_binary: Callable[[str, str], str], new_home: Path, tmp_path: Path) -> None:
    zbarimg = service_binary("zbarimg", "make services (or: apt-get install zbar-tools)")
    pair = Terminal("pair", "--qr", str(tmp_path / "code.png"), home=new_home, **WIDE)
    pair.wait_for("valid for 1:5")
    code, rows = paired_code(pair.shown), modules(pair.shown)
    # What is on the screen, as a camera sees it: eight points for a module.
    wide = len(rows[0]) * 8
    bits = "\n".join(
        " ".join("1" if each else "0" for each in row for _ in range(8)) for row in rows for _ in range(8)
    )
    (tmp_path / "screen.pbm").write_text(f"P1\n{wide} {len(rows) * 8}\n{bits}\n")
    for name in ("code.png", "screen.pbm"):
        done = subprocess.run(
            [zbarimg, "--raw", "-q", str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == code, (name, done.stderr)
    pair.interrupt()
