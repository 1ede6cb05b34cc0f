"""What is printed is safe to look at, whatever it holds."""

from __future__ import annotations

import errno
import json

import pytest

from echolia.client.cli.failures import describe
from echolia.client.cli.listing import highlighted
from echolia.client.cli.output import json_line, local_time, plain, plain_line
from echolia.core.errors import EcholiaError


@pytest.mark.parametrize("evil", ["\x1b[2J", "\x9b31m", "\x07", "\x7f", "\r", "\u202e", "\ud800"])
def test_nothing_moves_the_cursor(evil: str) -> None:
    assert plain(f"a{evil}b").startswith("a\ufffd")
    assert evil not in plain_line(f"a{evil}b")


def test_ordinary_text_stays() -> None:
    text = "tab\tline\nnbsp\u00a0 é 📊 👩\u200d🚀 עברית"
    assert plain(text) == text
    assert plain("a\r\nb") == "a\nb"
    assert plain_line(" a \n b ") == "a b"


@pytest.mark.parametrize("unix_ms", [None, 2**53, -(2**53), 10**18])
def test_no_time_is_too_odd_to_show(unix_ms: int | None) -> None:
    assert local_time(unix_ms) == ""


def test_matches_are_marked_and_blanks_kept() -> None:
    shown = highlighted("the rain\x1b fell", ((4, 8),))
    assert shown.startswith("the \x1b[1mrain\x1b[0m\ufffd fell")


def test_json_takes_bytes_and_foreign_values() -> None:
    assert json.loads(json_line({"a": [{"b": float("nan")}, 1.5]})) == {"a": [{"b": None}, 1.5]}
    assert json.loads(json_line({"a": b"\x01", "b": frozenset(["x"]), "c": 1, "d": object})).keys() == set(
        "abcd"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_has_one_name(number: int) -> None:
    assert describe(OSError(number, "no room"))[0] == "disk_full"


def test_failures_have_a_code_and_a_sentence() -> None:
    code, message = describe(PermissionError(errno.EACCES, "Permission denied", "somewhere"))
    assert (code, message) == ("os_eacces", "The system refused: permission denied: somewhere.")
    code, message = describe(EcholiaError("run_gap", "at 3"))
    assert code == "run_gap"
    assert message.endswith("(at 3).")
