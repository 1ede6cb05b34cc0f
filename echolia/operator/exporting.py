"""`echolia db export`."""

from __future__ import annotations

from pathlib import Path

import click

from echolia.operator.session import Session, user_argument, with_operator


@click.command(epilog="Example: echolia db export 3f9a1c ./anna.db")
@user_argument
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, resolve_path=True))
@with_operator
async def export(session: Session, user: str, file: Path) -> None:
    """Write a database as it is at this moment as FILE, a plain SQLite file that is not there yet.

    Its changes stay sealed by the account's devices. The file itself is not: its metadata is readable, and a
    deletion of the account does not reach it.
    """
    done = await session.told(session.operator.export(user, str(file)))
    session.out.result(done, f"Written: {file}")
