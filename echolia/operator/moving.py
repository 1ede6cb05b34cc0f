"""`echolia db move`."""

from __future__ import annotations

import click

from echolia.operator.session import Session, user_argument, with_operator


@click.command(epilog="Example: echolia db move 3f9a1c --to other")
@user_argument
@click.option("--to", required=True, help="Name of the place; its own gives an interrupted move up.")
@with_operator
async def move(session: Session, user: str, to: str) -> None:
    """Move a database to another place, while its devices go on.

    It is copied, compared row by row, and switched in one step; requests wait for that, usually less than
    a second. Interrupted anywhere, the same command goes on.
    """
    moved = await session.told(session.operator.move(user, to))
    if moved["source"] == to:
        text = f"It is at {to}, and nothing is left of any move."
    else:
        text = (
            f"Moved from {moved['source']} to {to}: {moved['rows']} rows,"
            f" the same on both sides ({moved['root'][:16]}…); paused for {moved['paused_s']:.2f} s."
        )
    session.out.result(moved, text)
