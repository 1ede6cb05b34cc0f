"""`echolia db list`."""

from __future__ import annotations

import click

from echolia.client.cli.output import Column
from echolia.operator.session import Session, with_operator
from echolia.storage.operating.service import MOST_LISTED, Value


@click.command(epilog="Example: echolia db list --failed")
@click.option("--home", help="Only those at this place.")
@click.option("--failed", is_flag=True, help="Only those that could not be upgraded.")
@click.option("--blocked", is_flag=True, help="Only those that are blocked.")
@click.option("--after", help="Go on behind this id: what the page before says is next.")
@click.option(
    "--most", type=click.IntRange(1, MOST_LISTED), default=100, show_default=True, help="A page's length."
)
@with_operator
async def list_databases(
    session: Session, home: str | None, failed: bool, blocked: bool, after: str | None, most: int
) -> None:
    """List databases in the order of their accounts' ids, a page at a time."""
    page = await session.operator.list(after, most, home, failed, blocked)
    if session.out.json:
        session.out.result(page, "")
        return
    columns = [Column("account"), Column("place"), Column("version"), Column("state", flexible=True)]
    rows = [
        [each["account"], each["home"], str(each["version"]), state_of(each)] for each in page["databases"]
    ]
    session.out.table(columns, rows)
    if page["next"] is not None:
        session.out.aside(f"There may be more: --after {page['next']}")


def state_of(place: Value) -> str:
    """How a database stands, in words; empty where nothing is to be said."""
    said = {
        "moving to {}": place["moving_to"],
        "still to be removed from {}": place["leaving"],
        "not upgraded: {}": place["failed"],
        "blocked": place["blocked"] or None,
    }
    return ", ".join(words.format(value) for words, value in said.items() if value is not None)
