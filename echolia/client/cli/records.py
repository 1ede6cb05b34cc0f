"""The commands on single things: show, add, edit, rm, restore."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from echolia.client.cli.describe import TEXT_FIELD, find, page, raw_text, receipt_json, text_of, whole
from echolia.client.cli.details import details, given
from echolia.client.cli.output import plain_line
from echolia.client.cli.session import Session, with_session
from echolia.client.cli.text_input import agreed, edited_text, given_text
from echolia.client.importing.day_one import title_of

Decorator = Callable[[Callable[..., None]], Callable[..., None]]
ID: Decorator = click.argument("object_id", metavar="ID")
FILE: Decorator = click.option(
    "--file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False), help="Text from here."
)


@click.command(epilog="Example: echolia show 3f9a")
@ID
@click.option("--raw", is_flag=True, help="The imported file byte for byte, nothing else.")
@with_session
async def show(session: Session, object_id: str, raw: bool) -> None:
    """Show one thing, by its id or the first digits of it.

    Of a memory also its sources, of an entry the memories that come from it. Showing a memory counts as an
    access of it; accesses are counted here and written once a day. On how many devices it is, is known as of
    the last sync.
    """
    async with session.device() as device:
        record = await find(device, object_id)
        receipt = await device.collection(record.collection).receipt(record.id)
        memories = device.collection("memories")
        remembers, is_source = record.collection == memories.name, record.collection == "entries"
        sources = await memories.sources(record.id) if remembers else []
        citing = await memories.citing(record.id) if is_source else []
        if remembers:
            await memories.touch(record.id)
    if raw:
        sys.stdout.buffer.write(raw_text(record))
        sys.stdout.buffer.flush()
    else:
        value = {**whole(record, sources, citing), "receipt": receipt_json(receipt)}
        session.out.result(value, page(record, receipt, sources, citing))


@click.command(epilog="Example: echolia add 'Rain again.' --title Monday --tag weather")
@click.argument("text", required=False)
@FILE
@details(of_new=True)
@click.option("--collection", type=click.Choice(list(TEXT_FIELD)), default="entries", show_default=True)
@with_session
async def add(session: Session, text: str | None, file: Path | None, collection: str, **words: Any) -> None:
    """Write something new: TEXT, or a --file, or - for standard input, or else in $EDITOR.

    An entry's title is its first line unless given.
    """
    written = given_text(text, file)
    async with session.device() as device:
        kind = device.collection(collection)  # a missing home is said before the editor opens
        said = await given(device, collection, words)
        if written is None:
            written = edited_text("")
        if written is None:
            raise click.UsageError("Nothing was written, nothing was added.")
        fields: dict[str, Any] = {TEXT_FIELD[collection]: written, "created": time.time_ns() // 1_000_000}
        if collection == "entries":
            fields |= {"title": title_of(written), "tags": []}
        made = await kind.create(fields | said)
        short = (await device.short_ids([made]))[made]
    session.out.result({"id": made}, f"Added {short}.")


@click.command(epilog="Example: echolia edit 3f9a --title 'Monday, late' --tag rain --untag sun")
@ID
@click.argument("text", required=False)
@FILE
@details(of_new=False)
@with_session
async def edit(session: Session, object_id: str, text: str | None, file: Path | None, **words: Any) -> None:
    """Change something: by a new TEXT, a --file, - for standard input, by options, or else in $EDITOR.

    A new title decides where two stand side by side. An empty kind, color or source type takes it off.
    """
    written = given_text(text, file)
    async with session.device() as device:
        record = await find(device, object_id)
        fields = await given(device, record.collection, words)
        if written is None and not fields:
            written = edited_text(text_of(record))
        if written is not None:
            fields[TEXT_FIELD.get(record.collection, "body")] = written
        if fields:
            await device.collection(record.collection).update(record.id, fields)
    text_out = f"Changed {record.id[:8]}." if fields else "Nothing was changed."
    session.out.result({"id": record.id, "changed": sorted(fields)}, text_out)


@click.command("rm", epilog="Example: echolia rm 3f9a --yes")
@ID
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_session
async def remove(session: Session, object_id: str, yes: bool) -> None:
    """Put something into the trash, on every device. `echolia restore` takes it out again."""
    async with session.device() as device:
        record = await find(device, object_id)
        agreed(f"Put “{plain_line(record.title)}” into the trash?", yes)
        await device.collection(record.collection).delete(record.id)
    session.out.result({"id": record.id}, f"{record.id[:8]} is in the trash.")


@click.command(epilog="Example: echolia restore 3f9a --version 12")
@ID
@click.option("--version", type=int, metavar="NUMBER", help="A version of `echolia history ID` instead.")
@with_session
async def restore(session: Session, object_id: str, version: int | None) -> None:
    """Take something out of the trash; `echolia list --trash` shows what is in there.

    With --version bring back what it was, out of the trash too. What it is now is a version from then on.
    """
    async with session.device() as device:
        record = await find(device, object_id)
        kind = device.collection(record.collection)
        if version is None:
            await kind.restore(record.id)
        else:
            await kind.revert(record.id, version)
    as_it_was = "" if version is None else f" as it was in version {version}"
    session.out.result({"id": record.id, "version": version}, f"{record.id[:8]} is back{as_it_was}.")
