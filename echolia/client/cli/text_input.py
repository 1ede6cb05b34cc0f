"""Where a command gets text and consent: arguments, files, standard input, an editor, a question."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from echolia.client.importing.notes import MOST_TEXT_BYTES
from echolia.core.errors import EcholiaError


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a wait for somebody who types.

    An event loop answers the first Ctrl-C by cancelling its task, which a blocking read never notices.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def asked(question: str) -> str:
    """What the person answers, on one line."""
    with interruptible():
        answer: str = click.prompt(question, default="", show_default=False, prompt_suffix=" ", err=True)
    return answer


def given_text(argument: str | None, file: Path | None) -> str | None:
    """The text that was given: `-` is standard input, `--file -` likewise; None if none was.

    Raises `import_unreadable` for what is not UTF-8, `usage` when two were given.
    """
    if argument is not None and file is not None:
        raise click.UsageError("Give the text or --file, not both.")
    if file is not None and str(file) != "-":
        with file.open("rb") as opened:
            return _decoded(opened.read(MOST_TEXT_BYTES + 1))
    if argument == "-" or file is not None:
        with interruptible():
            return _decoded(sys.stdin.buffer.read(MOST_TEXT_BYTES + 1))
    return argument


def _decoded(raw: bytes) -> str:
    if len(raw) > MOST_TEXT_BYTES:
        raise EcholiaError("import_unreadable", f"larger than {MOST_TEXT_BYTES // 1024} KiB")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise EcholiaError("import_unreadable") from None


def at_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty()


def edited_text(before: str) -> str | None:
    """What the person makes of `before` in $EDITOR; None if it was left as it was or not saved.

    Raises a usage error where there is no terminal.
    """
    if not at_terminal():
        raise click.UsageError(
            "Give the text, --file, or - for standard input; there is no terminal to edit in."
        )
    with interruptible():
        after = click.edit(before, extension=".md", require_save=True)
    return None if after is None or after == before else after


def agreed(question: str, yes: bool) -> None:
    """Go on only if the person agrees, or said so with --yes.

    Raises a usage error where nobody can be asked; ends the command when the answer is no.
    """
    if yes:
        return
    if not at_terminal():
        raise click.UsageError("There is no terminal to ask in; say --yes.")
    if asked(f"{question} [y/N]").lower() not in {"y", "yes"}:
        raise click.Abort
