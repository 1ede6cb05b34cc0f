"""`echolia db show`."""

from __future__ import annotations

import click

from echolia.operator.listing import state_of
from echolia.operator.session import Session, user_argument, with_operator


@click.command(epilog="Example: echolia db show 3f9a1c")
@user_argument
@with_operator
async def show(session: Session, user: str) -> None:
    """Show where a database is, its size, how many rows it has, and its snapshots.

    What is in it is sealed by its devices; nothing of that is shown, and nobody here could.
    """
    told = await session.operator.show(user)
    lines = [
        f"account {told['account']}",
        f"place {told['home']}, version {told['version']}",
        *([state] if (state := state_of(told)) else []),
        *([f"{told['bytes']} bytes"] if told["bytes"] is not None else []),
        *(f"{count} {table}" for table, count in (told["counts"] or {}).items()),
        *([f"it does not open [{told['error']}]"] if told["error"] else []),
        *(f"snapshot {each['name']}, {each['bytes']} bytes" for each in told["snapshots"]),
    ]
    session.out.result(told, "\n".join(lines))
