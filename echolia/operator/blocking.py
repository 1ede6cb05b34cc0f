"""`echolia db block` and `echolia db unblock`."""

from __future__ import annotations

import click

from echolia.operator.session import Session, user_argument, with_operator


@click.command(epilog="Example: echolia db block 3f9a1c")
@user_argument
@with_operator
async def block(session: Session, user: str) -> None:
    """Stop serving a database: its devices are told so (database_blocked), and nothing is deleted.

    The account can still be deleted by its devices.
    """
    session.out.result(await session.operator.block(user, True), "Blocked.")


@click.command(epilog="Example: echolia db unblock 3f9a1c")
@user_argument
@with_operator
async def unblock(session: Session, user: str) -> None:
    """Serve a database again."""
    session.out.result(await session.operator.block(user, False), "Served again.")
