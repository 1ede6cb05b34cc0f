"""The commands that help to decide: conflicts and resolve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from echolia.client.cli.describe import find, summary, value_line, writer
from echolia.client.cli.output import local_time, plain, plain_line
from echolia.client.cli.session import Session, with_session
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client import Choice, Conflict, Device, Origin, Sides

_WAYS: Final = "--take, --merged, --value, --restore, --keep or --discard"


@click.command("conflicts", epilog="Example: echolia conflicts")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@with_session
async def list_conflicts(session: Session, limit: int) -> None:
    """List what waits for a decision: every value with its device and when the server received it.

    That is values that two devices gave a field at the same time, with a merged preview, and what was deleted
    on one device while another edited it: of that the edit lies in the trash. What this device edited while
    it was away for months is listed with what the others had meanwhile. `echolia resolve` decides.
    """
    async with session.device() as device:
        found = await device.conflicts(limit=limit)
        standing = await device.status()
        short = await device.short_ids([one.record.id for one in found])
        lines = [line for one in found for line in _told(device.id, one, short[one.record.id])]
    total = standing.conflicts + standing.recovered + standing.late
    value = {"conflicts": [_json(one) for one in found], "total": total}
    session.out.result(value, "\n".join(lines) if found else "Nothing waits for a decision.")
    if total > len(found):
        session.out.aside(f"{len(found)} of {total}; --limit shows more.")


def _told(own: str, conflict: Conflict, short: str) -> Iterator[str]:
    record = conflict.record
    yield f"{short}  {plain_line(record.title) or '(no title)'}"
    if conflict.kind == "recovered":
        yield "  deleted while it was edited; the edit lies in the trash"
        if conflict.deletion is not None:
            yield f"    deleted   {_origin(own, conflict.deletion, record.pending)}"
        for edit in conflict.edits:
            yield f"    edited    {_origin(own, edit, record.pending)}"
        yield f"    decide:   echolia resolve {short} --restore (or --discard)"
    if conflict.others is not None:
        yield f"  edited here while this device was away, until {local_time(conflict.back_ms)}"
        for name, value in conflict.others.items():
            yield f"    {name:<9} {value_line(record.fields.get(name))}"
            yield f"      others  {value_line(value)}"
        yield f"    decide:   echolia resolve {short} --keep (or --discard)"
    for name, sides in conflict.sides.items():
        yield f"  {name}{', which was declared in different ways' if sides.mixed else ''}"
        for number, choice in enumerate(sides.choices, 1):
            yield f"    {number:<9} {value_line(choice.value)}   ({_origin(own, choice, record.pending)})"
        if sides.merged is not None:
            first, *more = plain(sides.merged).split("\n")
            yield f"    merged    {first}"
            yield from (f"              {line}" for line in more)
        if conflict.kind == "values":
            field = f" --field {name}" if len(conflict.sides) > 1 else ""
            yield f"    decide:   echolia resolve {short}{field} --take 1 (or --merged, or --value TEXT)"
    yield ""


def _origin(own: str, origin: Choice | Origin, pending: bool) -> str:
    """Who and when; a change of this device's that has no time yet was not sent."""
    unsent = pending and origin.device == own and origin.at_ms is None
    when = "not sent yet" if unsent else local_time(origin.at_ms)
    return ", ".join(part for part in (writer(own, origin.device), when) if part)


def _json(conflict: Conflict) -> dict[str, Any]:
    return {
        **summary(conflict.record),
        "kind": conflict.kind,
        "fields": {name: _sides_json(sides) for name, sides in conflict.sides.items()},
        "deletion": None if conflict.deletion is None else _origin_json(conflict.deletion),
        "edits": [_origin_json(edit) for edit in conflict.edits],
        "others": conflict.others,
        "back_ms": conflict.back_ms,
    }


def _sides_json(sides: Sides) -> dict[str, Any]:
    values = [{"value": choice.value, **_origin_json(choice)} for choice in sides.choices]
    return {"values": values, "merged": sides.merged, "mixed": sides.mixed}


def _origin_json(origin: Choice | Origin) -> dict[str, Any]:
    return {"device": origin.device, "counter": origin.counter, "at_ms": origin.at_ms}


@click.command(epilog="Example: echolia resolve 3f9a --field title --take 2")
@click.argument("object_id", metavar="ID")
@click.option("--field", help="Which field, if several differ.")
@click.option("--take", type=click.IntRange(1), metavar="N", help="Take the value of this number.")
@click.option("--merged", is_flag=True, help="Take the merged preview.")
@click.option("--value", metavar="TEXT", help="Take this text instead.")
@click.option("--restore", is_flag=True, help="Of what was deleted while it was edited: take it back.")
@click.option("--keep", is_flag=True, help="Of what was edited late: keep it.")
@click.option(
    "--discard", is_flag=True, help="Leave deleted what was edited meanwhile; take late edits back."
)
@with_session
async def resolve(session: Session, object_id: str, field: str | None, **ways: Any) -> None:
    """Decide about a conflict, as `echolia conflicts` lists it. What is not taken stays in the history."""
    chosen = [name for name, value in ways.items() if value not in (None, False)]
    if len(chosen) != 1:
        raise click.UsageError(f"Say one of {_WAYS}.")
    async with session.device() as device:
        record = await find(device, object_id)
        found = [one for one in await device.conflicts() if one.record.id == record.id]
        if not found:
            raise EcholiaError("conflict_changed", "nothing about it waits for a decision")
        short = (await device.short_ids([record.id]))[record.id]
        if found[0].kind == "late":
            said = await _decide_late(device, found[0], short, chosen[0])
        elif chosen[0] in {"restore", "discard"}:
            said = await _decide_trash(device, found[0], short, restore=bool(ways["restore"]))
        else:
            said = await _decide_field(device, found[0], short, field, ways)
    session.out.result({"id": record.id, "resolved": field or chosen[0]}, said)


async def _decide_late(device: Device, conflict: Conflict, short: str, way: str) -> str:
    if way not in {"keep", "discard"}:
        raise click.UsageError("It was edited late; --keep or --discard decide.")
    await device.review(conflict, keep=way == "keep")
    if way == "keep":
        return f"{short} stays as it is."
    return f"{short} is as the others had it; the rest is in `echolia history {short}`."


async def _decide_trash(device: Device, conflict: Conflict, short: str, *, restore: bool) -> str:
    if conflict.kind != "recovered":
        raise click.UsageError("It is not in the trash; --take, --merged or --value decide.")
    kind = device.collection(conflict.record.collection)
    await (kind.restore if restore else kind.delete)(conflict.record.id)
    return f"{short} is back." if restore else f"{short} stays in the trash."


async def _decide_field(
    device: Device, conflict: Conflict, short: str, field: str | None, ways: dict[str, Any]
) -> str:
    if conflict.kind == "recovered":
        raise click.UsageError("It lies in the trash; --restore or --discard decide.")
    if ways["keep"]:
        raise click.UsageError("Values compete; --take, --merged or --value decide.")
    name, sides = _chosen(conflict, field)
    value = _value(sides, ways)
    await device.resolve_conflict(conflict, name, value)
    return f"{name} of {short} is decided; the other values are in `echolia history {short}`."


def _chosen(conflict: Conflict, field: str | None) -> tuple[str, Sides]:
    if field is None and len(conflict.sides) > 1:
        raise click.UsageError(f"Several fields differ; say --field: {', '.join(conflict.sides)}.")
    name = next(iter(conflict.sides)) if field is None else field
    if name not in conflict.sides:
        raise click.UsageError(f"These fields differ: {', '.join(conflict.sides)}.")
    return name, conflict.sides[name]


def _value(sides: Sides, ways: dict[str, Any]) -> Any:
    if ways["merged"]:
        if sides.merged is None:
            raise click.UsageError("These values have no merged preview; --take or --value decide.")
        return sides.merged
    if ways["value"] is not None:
        return ways["value"]
    if ways["take"] > len(sides.choices):
        raise click.UsageError(f"There are {len(sides.choices)} values.")
    return sides.choices[ways["take"] - 1].value
