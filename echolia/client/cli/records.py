"""The commands on single things: show, add, edit, rm, restore."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from echolia.client.cli.describe import TEXT_FIELD, find, page, raw_text, receipt_json, text_of, whole
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

    On how many devices it is, is known as of the last sync.
    """
    async with session.device() as device:
        record = await find(device, object_id)
        receipt = await device.collection(record.collection).receipt(record.id)
    if raw:
        sys.stdout.buffer.write(raw_text(record))
        sys.stdout.buffer.flush()
    else:
        session.out.result({**whole(record), "receipt": receipt_json(receipt)}, page(record, receipt))


@click.command(epilog="Example: echolia add 'Rain again.' --title Monday --tag weather")
@click.argument("text", required=False)
@FILE
@click.option("--title", help="The title of an entry; its first line unless given.")
@click.option("--tag", "tags", multiple=True, help="A tag of an entry; may be given several times.")
@click.option("--collection", type=click.Choice(list(TEXT_FIELD)), default="entries", show_default=True)
@with_session
async def add(
    session: Session,
    text: str | None,
    file: Path | None,
    title: str | None,
    tags: tuple[str, ...],
    collection: str,
) -> None:
    """Write something new: TEXT, or a --file, or - for standard input, or else in $EDITOR."""
    if collection != "entries" and (title is not None or tags):
        raise click.UsageError("Only entries have --title and --tag.")
    written = given_text(text, file)
    async with session.device() as device:
        kind = device.collection(collection)  # a missing home is said before the editor opens
        if written is None:
            written = edited_text("")
        if written is None:
            raise click.UsageError("Nothing was written, nothing was added.")
        fields: dict[str, Any] = {TEXT_FIELD[collection]: written, "created": time.time_ns() // 1_000_000}
        if collection == "entries":
            fields |= {
                "title": title if title is not None else title_of(written),
                "tags": list(dict.fromkeys(tags)),
            }
        made = await kind.create(fields)
        short = (await device.short_ids([made]))[made]
    session.out.result({"id": made}, f"Added {short}.")


@click.command(epilog="Example: echolia edit 3f9a --title 'Monday, late' --tag rain --untag sun")
@ID
@click.argument("text", required=False)
@FILE
@click.option("--title", help="A new title; where two stand side by side this decides.")
@click.option("--tag", "tags", multiple=True, help="Add a tag.")
@click.option("--untag", "untags", multiple=True, help="Take a tag off.")
@click.option("--star/--unstar", default=None, help="Mark it, or not.")
@with_session
async def edit(session: Session, object_id: str, text: str | None, file: Path | None, **words: Any) -> None:
    """Change something: by a new TEXT, a --file, - for standard input, by options, or else in $EDITOR."""
    written = given_text(text, file)
    async with session.device() as device:
        record = await find(device, object_id)
        if record.collection != "entries" and any(
            words[name] for name in ("title", "tags", "untags", "star")
        ):
            raise click.UsageError("Only entries have a title, tags and a star.")
        fields = _edits(**words)
        if written is None and not fields:
            written = edited_text(text_of(record))
        if written is not None:
            fields[TEXT_FIELD.get(record.collection, "body")] = written
        if fields:
            await device.collection(record.collection).update(record.id, fields)
    text_out = f"Changed {record.id[:8]}." if fields else "Nothing was changed."
    session.out.result({"id": record.id, "changed": sorted(fields)}, text_out)


def _edits(
    title: str | None, tags: tuple[str, ...], untags: tuple[str, ...], star: bool | None
) -> dict[str, Any]:
    from echolia.client import Add, Remove  # noqa: PLC0415 - see session

    fields: dict[str, Any] = {}
    if title is not None:
        fields["title"] = title
    if tags or untags:
        fields["tags"] = [*(Remove(tag) for tag in untags), *(Add(tag) for tag in tags)]
    if star is not None:
        fields["starred"] = star
    return fields


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


@click.command(epilog="Example: echolia restore 3f9a")
@ID
@with_session
async def restore(session: Session, object_id: str) -> None:
    """Take something out of the trash; `echolia list --trash` shows what is in there."""
    async with session.device() as device:
        record = await find(device, object_id)
        await device.collection(record.collection).restore(record.id)
    session.out.result({"id": record.id}, f"{record.id[:8]} is back.")
