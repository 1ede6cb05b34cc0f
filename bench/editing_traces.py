"""Editing traces: what people typed, keystroke by keystroke, and the text that it came to."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

# 521,203 keystrokes of people who typed messages at the same time; typing_log.txt pins it.
TYPING_LOG: Final = (
    Path(__file__).resolve().parent.parent
    / ".services" / "traces" / "keylogging_analysis-0.0.1-py3-none-any.whl"
)  # fmt: skip
INSTALL: Final = "make services"
_LOGGED: Final = "keylogging_analysis/data/lh_default.csv"
_KEYSTROKE: Final = "0"


class Edit(NamedTuple):
    """At `position`, `delete` characters go and `insert` comes; both count Unicode code points."""

    position: int
    delete: int
    insert: str


class Trace(NamedTuple):
    """Edits that follow each other, and the text that they lead to by the word of their source."""

    name: str
    edits: list[Edit]
    text: str


def read(path: Path, most: int) -> Trace:
    """A trace in the form of the public editing-traces collection (JSON, gzip), or its first `most` edits."""
    with gzip.open(path) as file:
        tree = json.load(file)
    edits = [Edit(*patch) for transaction in tree["txns"] for patch in transaction["patches"]]
    text = tree["endContent"] if most >= len(edits) else _spelled(edits[:most])
    return Trace(path.name.split(".")[0], edits[:most], text)


def typed(most: int, log: Path = TYPING_LOG) -> Trace:
    """The first `most` edits of the typing log as one text; each message is a line, begun when it was.

    The log says what stood in a person's line after each keystroke. Several people type at the same time, so
    the edits jump between lines. The text is put together from what stood there, not from the edits.
    """
    lines: dict[str, str] = {}
    edits: list[Edit] = []
    length = 0
    for message, content in _keystrokes(log):
        if len(edits) >= most:
            break
        if message not in lines:
            edits.append(Edit(length, 0, "\n"))
            lines[message], length = "", length + 1
        at, gone, new = _differing(lines[message], content)
        sent = gone > 1 and not content  # the line empties when the message leaves
        if (gone or new) and not sent:
            behind = sum(len(lines[other]) + 1 for other in takewhile(message.__ne__, reversed(lines)))
            start = length - behind - len(lines[message]) - 1
            edits.append(Edit(start + at, gone, new))
            lines[message], length = content, length + len(new) - gone
    return Trace("typing log", edits, "".join(f"{line}\n" for line in lines.values()))


def _keystrokes(log: Path) -> list[tuple[str, str]]:
    """By time: the message that was typed, and what stood there then."""
    with zipfile.ZipFile(log) as wheel, wheel.open(_LOGGED) as file:
        rows = csv.reader(io.TextIOWrapper(file, "utf-8"))
        _, *names = next(rows)
        key, content, kind, time, message = (
            names.index(name) + 1
            for name in ("key_id", "content", "event_for_message_type", "key_time", "message_id")
        )
        found = [
            (row[time], int(row[key]), row[message], row[content]) for row in rows if row[kind] == _KEYSTROKE
        ]
    return [(message, content) for _, _, message, content in sorted(found)]


def _differing(one: str, other: str) -> Edit:
    """The edit that turns one line into the other."""
    most = min(len(one), len(other))
    start = next((at for at in range(most) if one[at] != other[at]), most)
    end = next((at for at in range(most - start) if one[-1 - at] != other[-1 - at]), most - start)
    return Edit(start, len(one) - start - end, other[start : len(other) - end])


def _spelled(edits: list[Edit]) -> str:
    text = ""
    for position, delete, insert in edits:
        text = text[:position] + insert + text[position + delete :]
    return text
