"""A pairing code as a picture: drawn in the terminal, or in a file that goes when the pairing does."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from segno import QRCode

ENDINGS: Final = frozenset({".png", ".svg"})
# Two rows of modules make a line of characters: (upper is dark, lower is dark).
_HALVES: Final = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
# Black on white whatever the terminal's colours are, or cameras see a negative.
_BLACK_ON_WHITE: Final = "\x1b[38;5;16;48;5;231m"
_AS_BEFORE: Final = "\x1b[0m"
_BORDER: Final = 2
_PICTURE_BORDER: Final = 4
_PICTURE_SCALE: Final = 8


def drawn(code: str) -> str:
    """The QR code for this terminal; empty, with a word on standard error, where it cannot show one."""
    if not sys.stdout.isatty():
        return ""
    rows = [tuple(row) for row in _symbol(code).matrix_iter(border=_BORDER)]
    lines = [_line(rows[at : at + 2]) for at in range(0, len(rows), 2)]
    if reason := _cannot_show(len(rows[0]), len(lines)):
        click.echo(
            f"{reason}: no QR code is drawn. Take the text, or write a picture by --qr FILE.png", err=True
        )
        return ""
    return "\n".join(lines)


def _cannot_show(columns: int, lines: int) -> str:
    """Why the terminal cannot show so many columns and lines of half blocks; empty if it can."""
    if os.environ.get("TERM", "") in {"", "dumb"}:
        return "This terminal has no colours"
    try:
        "".join(_HALVES.values()).encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return "This terminal does not speak UTF-8"
    size = shutil.get_terminal_size()
    if size.columns < columns or size.lines <= lines:
        return f"This terminal is smaller than {columns} columns and {lines + 1} lines"
    return ""


def _line(pair: list[tuple[int, ...]]) -> str:
    upper, lower = pair if len(pair) == 2 else (pair[0], (0,) * len(pair[0]))
    halves = "".join(_HALVES[bool(above), bool(below)] for above, below in zip(upper, lower, strict=True))
    return f"{_BLACK_ON_WHITE}{halves}{_AS_BEFORE}"


def _symbol(code: str) -> QRCode:
    import segno  # noqa: PLC0415 - only those who pair wait for it

    return segno.make_qr(code, error="l")


def check_name(path: Path | None) -> None:
    """Return if a picture could be written there; a usage error otherwise, before anything is asked for."""
    if path is None:
        return
    if path.suffix.lower() not in ENDINGS:
        raise click.UsageError("--qr takes a file that ends in .png or .svg.")
    if os.path.lexists(path):
        raise click.UsageError("The file that --qr names is there already; name another.")


@contextmanager
def picture(path: Path | None, code: str, most_s: float) -> Iterator[None]:
    """A file with the QR code, for its user alone, at most for `most_s` seconds of the running loop.

    It goes with the block, and with the program if a signal ends it.
    """
    if path is None:
        yield
        return
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with _removed(path):
        with os.fdopen(handle, "wb") as file:
            _write(file, path.suffix.lower().removeprefix("."), code)
        outliving = asyncio.get_running_loop().call_later(most_s, partial(path.unlink, missing_ok=True))
        try:
            yield
        finally:
            outliving.cancel()


def _write(file: IO[bytes], kind: str, code: str) -> None:
    _symbol(code).save(file, kind=kind, scale=_PICTURE_SCALE, border=_PICTURE_BORDER, light="#fff")


@contextmanager
def _removed(path: Path) -> Iterator[None]:
    def ended(number: int, _: FrameType | None) -> None:
        path.unlink(missing_ok=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = {number: signal.signal(number, ended) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        for number, handler in before.items():
            signal.signal(number, handler)
