"""Bringing an export of another account in: the words are asked for, never given on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from echolia.client.cli.progress import progress
from echolia.client.cli.secret_input import secret
from echolia.client.cli.session import Session
from echolia.client.cli.text_input import asked, at_terminal
from echolia.core.errors import CODES

if TYPE_CHECKING:
    from echolia.client import TakenIn

MOST_NAMED: Final = 20


async def import_export(session: Session, path: Path) -> None:
    """Take the export in and say what came of it."""
    async with session.device() as device:
        words = _words(path)
        with progress(session.out) as show:
            done = await device.take_in(
                path, words, on_progress=lambda count, total: show("importing", count, total)
            )
    _name_skipped(session, done)
    counts = {"new": done.new, "updated": done.updated, "unchanged": done.unchanged}
    skipped = [
        {"name": one.id, "code": one.code, "reason": CODES[one.code], "collection": one.collection}
        for one in done.not_taken
    ]
    kept = {"runs": done.runs, "account": done.archive.account, "archive": str(done.archive.path)}
    told = ", ".join(f"{count} {name}" for name, count in (counts | {"skipped": len(skipped)}).items())
    session.out.result(
        {**counts, "skipped": skipped, "noted": [], **kept},
        f"{told}.\n{done.runs} signed runs of account {done.archive.account[:8]} were verified;"
        f" the file is kept: `echolia archives`.",
    )


def _words(path: Path) -> str:
    """What opens the file: words are seen while they are typed, or few could type 24 of them."""
    from echolia.client.exporting.sealed_file import SealedFile  # noqa: PLC0415 - see session

    export = SealedFile(path)
    export.close()
    if export.head.has_passphrase or not at_terminal():
        return secret("Its 24 words, or its passphrase")
    return asked("The 24 words of the account it was made from:")


def _name_skipped(session: Session, done: TakenIn) -> None:
    for one in done.not_taken[:MOST_NAMED]:
        session.out.aside(f"skipped {one.id[:8]} of {one.collection}: {CODES[one.code]} [{one.code}]")
    if len(done.not_taken) > MOST_NAMED:
        session.out.aside(f"… and {len(done.not_taken) - MOST_NAMED} more; --json names all of them.")
