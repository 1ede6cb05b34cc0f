"""The command that shows what something was before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from echolia.client.cli.describe import conflicts_json, find, value_line, writer
from echolia.client.cli.output import Column, local_time
from echolia.client.cli.session import Session, with_session

if TYPE_CHECKING:
    from echolia.client import Record, Version

_MOST_CHARACTERS: Final = 80


@click.command("history", epilog="Example: echolia history 3f9a")
@click.argument("object_id", metavar="ID")
@with_session
async def list_versions(session: Session, object_id: str) -> None:
    """List what something was before, newest first: number, kind, when and by which device, what differs.

    A `loser` is a value that two devices gave at the same time and that is not the one shown. Edits of one
    device within minutes are one version. Versions are kept for 30 days, on this device alone.
    `echolia restore ID --version NUMBER` brings one back.
    """
    async with session.device() as device:
        record = await find(device, object_id)
        found = await device.collection(record.collection).history(record.id)
        own = device.id
    if session.out.json:
        session.out.result({"id": record.id, "versions": [_json(one) for one in found]}, "")
        return
    columns = [Column("number"), Column("kind"), Column("written"), Column("by"), Column("until")]
    rows = [
        [
            str(one.id),
            one.kind,
            local_time(one.at_ms),
            writer(own, one.device),
            local_time(one.until_ms),
            what,
        ]
        for one, what in zip(found, _differences(record, found), strict=True)
    ]
    session.out.table([*columns, Column("what differed", flexible=True)], rows)
    if not found:
        session.out.aside("Nothing was kept of what it was before.")


def _differences(record: Record, found: list[Version]) -> list[str]:
    """For each version what reads differently in the one that followed it."""
    whole = [one for one in found if one.kind == "version"]
    later = [record.fields, *(one.fields for one in whole)]
    after = {one.id: fields for one, fields in zip(whole, later, strict=False)}
    return [_told(one, after.get(one.id, {})) for one in found]


def _told(version: Version, after: Mapping[str, object]) -> str:
    told = [
        f"{name}: {value_line(value)}"[:_MOST_CHARACTERS]
        for name, value in sorted(version.fields.items())
        if name not in after or value != after[name]
    ]
    return ", ".join(told)


def _json(version: Version) -> dict[str, Any]:
    return {
        "version": version.id,
        "kind": version.kind,
        "device": version.device,
        "at_ms": version.at_ms,
        "until_ms": version.until_ms,
        "replaced_by": version.replaced_by,
        "fields": dict(version.fields),
        "conflicts": conflicts_json(version.conflicts),
    }
