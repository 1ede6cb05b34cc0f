"""`echolia db restore`."""

from __future__ import annotations

from pathlib import Path

import click

from echolia.operator.session import Session, user_argument, with_operator


@click.command(epilog="Example: echolia db restore 3f9a1c 2026-11-26T050102.000Z.sealed --replace")
@user_argument
@click.argument(
    "what", metavar="FILE|SNAPSHOT", callback=lambda _context, _option, given: _file_or_name(given)
)
@click.option("--replace", is_flag=True, help="Though there is a database; it is kept as a snapshot first.")
@with_operator
async def restore(session: Session, user: str, what: Path | str, replace: bool) -> None:
    """Bring a database back from one of its snapshots, by its name, or from an exported file.

    What is brought back is looked through first, and must be this account's. Its log gets a new epoch, so
    that devices that have more bring that back. Interrupted, it is served to nobody until it is run again.
    """
    is_file = isinstance(what, Path)
    done = await session.told(session.operator.restore(user, str(what), is_file, replace))
    text = f"Restored: {sum(done['counts'].values())} rows."
    if done["former"] is not None:
        text += f" What was there is kept as {done['former']}."
    session.out.result(done, text)


def _file_or_name(given: str) -> Path | str:
    """A file where there is one, otherwise the name of a snapshot."""
    file = Path(given)
    return file.resolve() if file.is_file() else given
