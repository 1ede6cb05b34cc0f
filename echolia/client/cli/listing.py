"""The commands that find things: list and search. Both read this device alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from echolia.client.cli.describe import created_ms, flags, summary
from echolia.client.cli.output import Column, local_time, plain_line
from echolia.client.cli.session import Session, with_session

if TYPE_CHECKING:
    from echolia.client.embeddings.finding import Near

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
@click.option("--semantic", is_flag=True, help="Also entries that mean the like; see `echolia embed`.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@with_session
async def search(
    session: Session, words: tuple[str, ...], collection: str, semantic: bool, limit: int
) -> None:
    """Find what holds all these words; the last may be the beginning of one. Nothing leaves this device.

    With --semantic the question is embedded: here, or sealed by the server where this device has no model.
    """
    from echolia.client.embeddings.finding import by_words  # noqa: PLC0415 - `--help` must not wait for it

    async with session.device() as device:
        if semantic:
            if collection != "entries":
                raise click.UsageError("--semantic finds entries.")
            searched = await device.embeddings.search(" ".join(words), limit=limit)
            results, by, lacking = searched.found, searched.by, searched.lacking
        else:
            found = await device.collection(collection).search(" ".join(words), limit=limit)
            results, by, lacking = list(map(by_words, found)), "words", 0
        short = await device.short_ids([near.record.id for near in results])
    if session.out.json:
        session.out.result({"found": list(map(_found_json, results)), **({"by": by} if semantic else {})}, "")
        return
    for near in results:
        click.echo(f"{short[near.record.id]}  {plain_line(near.record.title)}")
        click.echo(f"    {highlighted(near.snippet, near.matches)}")
    if not results:
        session.out.aside("Nothing found.")
    if semantic and lacking:
        session.out.aside(f"{lacking:,} entries have no vector, and are found by words: `echolia embed`.")


def _found_json(near: Near) -> dict[str, Any]:
    matches = [list(span) for span in near.matches]
    meant = {} if near.nearness is None else {"nearness": round(near.nearness, 6)}
    return {**summary(near.record), "snippet": near.snippet, "matches": matches, **meant}


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
