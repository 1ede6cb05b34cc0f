"""Where a command gets a passphrase: a file or standard input for scripts, the terminal for people."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from echolia.client.cli.text_input import at_terminal, interruptible
from echolia.core.errors import EcholiaError

VARIABLE: Final = "ECHOLIA_PASSPHRASE_FILE"
_MOST_BYTES: Final = 8192


def home_passphrase() -> Callable[[], str | bytearray]:
    """Whom to ask for the passphrase that the home is under, if it is under one.

    The line of standard input is taken at once: what follows it is the command's own. Asking raises
    `passphrase_needed` where there is nobody to ask.
    """
    if os.environ.get(VARIABLE) != "-":
        return _later
    line = first_line(Path("-"))
    return lambda: line


def _later() -> str | bytearray:
    if place := os.environ.get(VARIABLE):
        return first_line(Path(place))
    if not at_terminal():
        raise EcholiaError("passphrase_needed")
    return _asked("The passphrase of this home:")


def new_passphrase(file: Path | None) -> str | bytearray:
    """The passphrase to be chosen, typed twice; a usage error where the two differ or nobody can be asked."""
    if file is not None:
        return first_line(file)
    if not at_terminal():
        raise click.UsageError("There is no terminal to ask in; give --new-file, - for standard input.")
    typed = _asked("A new passphrase, of 8 characters or more:")
    if typed != _asked("The same again:"):
        raise click.UsageError("The two are not the same; nothing was changed.")
    return typed


def _asked(question: str) -> str:
    with interruptible():
        typed: str = click.prompt(
            question, default="", show_default=False, prompt_suffix=" ", hide_input=True, err=True
        )
    return typed


def first_line(file: Path) -> bytearray:
    """The first line of a file, without its end; `-` is standard input, of which nothing more is read."""
    with interruptible():
        if str(file) == "-":
            return _line(0)
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _line(handle)
        finally:
            os.close(handle)


def _line(descriptor: int) -> bytearray:
    line = bytearray()
    while len(line) < _MOST_BYTES and (character := os.read(descriptor, 1)) not in {b"", b"\n"}:
        line += character
    if line.endswith(b"\r"):
        del line[-1]
    return line
