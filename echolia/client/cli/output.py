"""What commands print: plain text for people and pipes, or JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, Final, NamedTuple

import click

# Control characters but tab and line feed, half surrogates, and the marks that reorder what is read.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Text that a terminal can show: what would move the cursor or recolour the screen is taken out.

    Notes come from files and other devices; none of them may take over the terminal of who reads them.
    """
    return _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n"))


def plain_line(text: str) -> str:
    """The same on one line."""
    return " ".join(plain(text).split())


def local_time(unix_ms: int | None) -> str:
    """A time as the person's clock on the wall shows it; empty if there is none or it is no time at all."""
    if unix_ms is None:
        return ""
    try:
        return datetime.fromtimestamp(unix_ms / 1000).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 - local on purpose
    except (ValueError, OverflowError, OSError):
        return ""


def json_line(value: Mapping[str, Any]) -> str:
    """One line of JSON, in ASCII; bytes become hexadecimal, what JSON cannot say null or text."""
    try:
        return json.dumps(value, default=_foreign, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), default=_foreign)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _foreign(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


class Column(NamedTuple):
    """A column of a table: its heading, and whether it may be cut, or go on in further lines, to fit the
    terminal.
    """

    heading: str
    flexible: bool = False
    wraps: bool = False


class Output(NamedTuple):
    """Where a command's results go: `json` for programs, `quiet` for neither progress nor remarks."""

    json: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """A remark for people; not in JSON, not when quiet."""
        if not (self.json or self.quiet):
            click.echo(text)

    def aside(self, text: str) -> None:
        """A remark on standard error: shown beside results that may be piped on."""
        if not (self.json or self.quiet):
            click.echo(text, err=True)

    def result(self, value: Mapping[str, Any], text: str) -> None:
        """A command's result: the value in JSON, or the text for people, in quiet too."""
        click.echo(json_line(value) if self.json else text)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Rows for people: aligned on a terminal, parted by tabs in a pipe."""
        if not sys.stdout.isatty():
            for row in rows:
                click.echo("\t".join(plain_line(cell) for cell in row))
            return
        from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - a pipe does not need it
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(
                column.heading,
                no_wrap=not column.wraps,
                overflow="fold" if column.wraps else "ellipsis",
                ratio=1 if column.flexible else None,
            )
        for row in rows:
            table.add_row(*(Text(plain_line(cell)) for cell in row))
        Console(highlight=False).print(table)
