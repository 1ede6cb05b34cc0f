"""The commands that find things: list and search. Both read this device alone."""

from __future__ import annotations

import click

from echolia.client.cli.describe import created_ms, flags, summary
from echolia.client.cli.output import Column, local_time, plain_line
from echolia.client.cli.session import Session, with_session

COLLECTION = click.option("--collection", default="entries", show_default=True, help="Which kind of thing.")


@click.command("list", epilog="Example: echolia list --limit 10")
@COLLECTION
@click.option("--trash", is_flag=True, help="What is in the trash instead.")
@click.option("--conflicts", is_flag=True, help="Only what waits for a decision.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@with_session
async def list_records(session: Session, collection: str, trash: bool, conflicts: bool, limit: int) -> None:
    """List what is here, newest first: id, created, title, flags.

    Flags: pending (not yet sent), conflict (waits for a decision), recovered (deleted while another device
    edited it), quarantined (cannot be read). In a pipe the columns are parted by tabs.
    """
    async with session.device() as device:
        kind = device.collection(collection)
        records = await kind.list(trash=trash, conflicts=conflicts, limit=limit)
        total = len(records) if conflicts else await kind.count(trash=trash)
        short = await device.short_ids([record.id for record in records])
    if session.out.json:
        session.out.result({"records": [summary(record) for record in records], "total": total}, "")
        return
    rows = [[short[one.id], local_time(created_ms(one)), one.title, " ".join(flags(one))] for one in records]
    session.out.table(
        [Column("id"), Column("created"), Column("title", flexible=True), Column("flags")], rows
    )
    if total > len(records):
        session.out.aside(f"{len(records)} of {total}; --limit shows more.")


@click.command(epilog="Example: echolia search rain garden")
@click.argument("words", nargs=-1, required=True)
@COLLECTION
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@with_session
async def search(session: Session, words: tuple[str, ...], collection: str, limit: int) -> None:
    """Find what holds all these words; the last may be the beginning of one. Nothing leaves this device."""
    async with session.device() as device:
        results = await device.collection(collection).search(" ".join(words), limit=limit)
        short = await device.short_ids([found.record.id for found in results])
    if session.out.json:
        found_json = [
            {
                **summary(found.record),
                "snippet": found.snippet,
                "matches": [list(span) for span in found.matches],
            }
            for found in results
        ]
        session.out.result({"found": found_json}, "")
        return
    for found in results:
        click.echo(f"{short[found.record.id]}  {plain_line(found.record.title)}")
        click.echo(f"    {highlighted(found.snippet, found.matches)}")
    if not results:
        session.out.aside("Nothing found.")


def highlighted(snippet: str, matches: tuple[tuple[int, int], ...]) -> str:
    """A snippet with what matched in bold, where a terminal can show it."""
    parts, done = [], 0
    for start, end in matches:
        parts += [
            plain_line_kept(snippet[done:start]),
            click.style(plain_line_kept(snippet[start:end]), bold=True),
        ]
        done = end
    return "".join([*parts, plain_line_kept(snippet[done:])])


def plain_line_kept(piece: str) -> str:
    """Part of a line, made safe to show without losing the blanks at its ends."""
    kept = plain_line(f"|{piece}|")
    return kept[1:-1]
