"""The command that brings in notes of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from echolia.client.cli.import_export import MOST_NAMED, import_export
from echolia.client.cli.output import plain_line
from echolia.client.cli.progress import progress
from echolia.client.cli.session import Session, with_session
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client.importing import Format, Report

# Where nothing else came of an import, these make it a failure; a note left in the trash does not.
UNTAKEN: Final = frozenset({"import_unreadable", "import_outside"})


@click.command("import", epilog="Example: echolia import ./diary")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["auto", "markdown", "day-one", "export"]),
    default="auto",
    show_default=True,
    help="What PATH holds.",
)
@click.option(
    "--as", "name", help="The folder's name for telling its notes from another's.  [default: its own name]"
)
@with_session
async def import_notes(
    session: Session, path: Path, wanted: Format | Literal["export"], name: str | None
) -> None:
    """Bring in a folder of Markdown and text files, one such file, a Day One JSON export, or an export of
    another account.

    A Day One export may be the journal's .json, its folder or the .zip; an account's is the file that
    `echolia export` made, and asks for its 24 words or its passphrase (without a terminal: the first line of
    standard input). It can be run again at any time: what is here already is left alone, and a file that
    changed since is an edit. What was edited here as well is left as it is here and named. Links are not
    followed; hidden files are left out. Files that cannot be taken are named; where none can, the command
    fails.
    """
    from echolia.client.exporting.sealed_file import is_export  # noqa: PLC0415 - see session
    from echolia.client.importing import bring_in, reader_for  # noqa: PLC0415 - see session

    if wanted == "export" or (wanted == "auto" and is_export(path)):
        await import_export(session, path)
        return
    async with session.device() as device:
        reader = reader_for(path, wanted, name)
        with progress(session.out) as show:
            report = await bring_in(device, reader, lambda done, total: show("importing", done, total))
    _name_skipped(session, report)
    value = {
        "new": report.new,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "skipped": [{"name": one.name, "code": one.code, "reason": one.reason} for one in report.skipped],
        "noted": [{"name": one_name, "remark": remark} for one_name, remark in report.noted],
    }
    counts = {name: value[name] for name in ("new", "updated", "unchanged")} | {
        "skipped": len(report.skipped)
    }
    session.out.result(value, ", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
    if report.skipped and report.done == len(report.skipped) and report.skipped[0].code in UNTAKEN:
        raise EcholiaError(report.skipped[0].code, "nothing was imported")


def _name_skipped(session: Session, report: Report) -> None:
    named = [f"skipped {one.name}: {one.reason} [{one.code}]" for one in report.skipped]
    named += [f"noted {name}: {remark}" for name, remark in report.noted]
    for line in named[:MOST_NAMED]:
        session.out.aside(plain_line(line))
    if len(named) > MOST_NAMED:
        session.out.aside(f"… and {len(named) - MOST_NAMED} more; --json names all of them.")
