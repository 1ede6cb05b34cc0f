"""`echolia db snapshot`."""

from __future__ import annotations

import click

from echolia.operator.session import Session, user_argument, with_operator


@click.command(epilog="Example: echolia db snapshot 3f9a1c")
@user_argument
@with_operator
async def snapshot(session: Session, user: str) -> None:
    """Keep a database as it is at this moment, sealed under the account's own key.

    It lies in the data folder, in snapshots/. The key is in the directory and goes with the account, so that
    copies of snapshots of a deleted account can be read by nobody.
    """
    taken = await session.told(session.operator.snapshot(user))
    session.out.result(taken, f"Kept as {taken['name']}, {taken['bytes']} bytes.")
