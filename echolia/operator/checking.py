"""`echolia db check`."""

from __future__ import annotations

from typing import Final

import click

from echolia.operator.session import Session, with_operator

WORDS: Final = {
    "orphan": "lies there and is nobody's",
    "move_unfinished": "a move was interrupted; run it again",
}


@click.command(epilog="Example: echolia db check")
@click.argument("user", required=False)
@with_operator
async def check(session: Session, user: str | None) -> None:
    """Look through one database, or all: whether each opens, is whole, its owner's, and where it is to be.

    Databases are opened as a request would, so one that lacks an upgrade gets it. Also looked for: databases
    and snapshots that belong to nobody. Ends with 1 if anything is found.
    """
    done = await session.told(session.operator.check(user))
    found = done["findings"]
    lines = [
        f"{each['account']} {each['home']}: {WORDS.get(each['code'], 'fails')} [{each['code']}]"
        for each in found
    ]
    summary = f"{done['checked']} looked through, {len(found)} findings."
    session.out.result(done, "\n".join([*lines, summary]))
    if found:
        raise SystemExit(1)
