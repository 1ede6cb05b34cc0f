"""The commands that concern the server: sync, watch, status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from echolia.client.cli.brake import brake_json, in_short, rewound_json, rewound_text
from echolia.client.cli.describe import find, flags, summary
from echolia.client.cli.output import json_line, local_time, plain_line
from echolia.client.cli.progress import progress
from echolia.client.cli.quota import held_error, held_json, held_line, hints, quota_json
from echolia.client.cli.secrets_kept import HOW
from echolia.client.cli.session import Session, with_session
from echolia.core.collections import VECTORS
from echolia.core.errors import CODES, EcholiaError

if TYPE_CHECKING:
    from echolia.client import Changed, Device, Progress, Record, Status
    from echolia.client.cli.progress import Show

MOST_NAMED: Final = 10
PHASES: Final = {"push": "sending", "pull": "receiving"}  # the others are over before anybody could read them


@click.command(epilog="Example: echolia sync")
@with_session
async def sync(session: Session) -> None:
    """Send what is new here, fetch and verify what is new elsewhere. It can be interrupted anywhere."""
    async with session.device() as device:
        with progress(session.out) as show:
            report = await device.sync(lambda at: _show(show, at))
        waiting = await _waiting(device, report.changed.conflicts)
    value: dict[str, Any] = {
        "pushed": report.pushed,
        "pulled": report.pulled,
        "changed": len(report.changed.objects),
        "conflicts": sorted(report.changed.conflicts),
        "quarantined": report.quarantined,
        "epoch": report.epoch,
        "seq": report.seq,
        "quota": quota_json(report.quota),
        "held": held_json(report.held),
    }
    lines = [f"Sent {report.pushed}, received {report.pulled} changes."]
    if report.rewound:
        value["rewound"] = rewound_json(report.rewound)
        lines.append(rewound_text(report.rewound))
    lines += waiting
    if report.quarantined:
        lines.append(f"{report.quarantined} changes could not be read; see `echolia status`.")
    session.out.result(value, "\n".join(lines + hints(report.quota)))
    if report.held is not None:
        raise held_error(report.held)


_NEWLY: Final = {
    "values": "Two versions of {} stand side by side.",
    "recovered": "{} was deleted while it was edited; the edit lies in the trash.",
    "late": "{} was edited here while this device was away for long.",
}


async def _waiting(device: Device, ids: frozenset[str]) -> list[str]:
    """What newly waits for a decision, in a line each; of many, the first ones."""
    found = [one for one in await device.conflicts() if one.record.id in ids] if ids else []
    short = await device.short_ids([one.record.id for one in found[:MOST_NAMED]])
    lines = [_NEWLY[one.kind].format(short[one.record.id]) for one in found[:MOST_NAMED]]
    if len(found) > MOST_NAMED:
        lines.append(f"… and {len(found) - MOST_NAMED} more.")
    return [*lines, "Decide: echolia conflicts"] if found else []


def _show(show: Show, at: Progress) -> None:
    if at.phase in PHASES:
        show(PHASES[at.phase], at.done, at.total)


@click.command(epilog="Example: echolia watch")
@click.option("--count", type=click.IntRange(1), help="End after so many rounds of changes.")
@with_session
async def watch(session: Session, count: int | None) -> None:
    """Stay and tell what other devices change, until Ctrl-C. With --json one line a round.

    Where `echolia embed` has made vectors, it makes those of what comes.
    """
    async with session.device() as device, _embedding(device):
        session.out.aside(f"Following {device.server}; Ctrl-C ends.")
        rounds = 0
        async for changed in device.watch():
            rounds += await _tell(session, device, changed)
            if rounds == count:
                return


@asynccontextmanager
async def _embedding(device: Device) -> AsyncIterator[None]:
    """Meanwhile vectors are made; where that fails for good, `echolia embed` says why."""
    keeping = asyncio.create_task(device.embeddings.keep_up(begin=False))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _tell(session: Session, device: Device, changed: Changed) -> bool:
    """Whether there was anything to tell: nobody reads vectors."""
    found = [record for one in sorted(changed.objects) if (record := await _shown(device, one))]
    records = [record for record in found if record.collection != VECTORS.name]
    if found and not records:
        return False
    if session.out.json:
        told: dict[str, Any] = {
            "changed": [summary(record) for record in records],
            "conflicts": sorted(changed.conflicts),
        }
        click.echo(json_line({**told, "braked": True} if changed.braked else told))
        return True
    for record in records:
        marks = " ".join(f"[{flag}]" for flag in flags(record))
        click.echo(f"{record.id[:8]}  {plain_line(record.title)}  {marks}".rstrip())
    return True


async def _shown(device: Device, object_id: str) -> Record | None:
    """The record; None if it is of a collection that only another app declares."""
    try:
        return await find(device, object_id)
    except EcholiaError:
        return None


@click.command(epilog="Example: echolia status")
@with_session
async def status(session: Session) -> None:
    """Say how this device and its server stand. The server is not asked."""
    async with session.device() as device:
        standing = await device.status()
    session.out.result(_status_json(standing), "\n".join(_status_lines(standing)))


def _status_json(standing: Status) -> dict[str, Any]:
    return {
        "account": standing.account,
        "device": standing.device,
        "devices": standing.devices,
        "server": standing.server,
        "home": str(standing.home),
        "objects": dict(standing.objects),
        "trash": standing.trash,
        "conflicts": standing.conflicts,
        "recovered": standing.recovered,
        "pending": standing.pending,
        "epoch": standing.epoch,
        "seq": standing.seq,
        "last_sync_ms": standing.last_sync_ms,
        "not_everywhere": standing.not_everywhere,
        "brake": brake_json(standing.brake) if standing.brake else None,
        "quarantined": [
            {"object": one.object, "device": one.device, "counter": one.counter, "code": one.code}
            for one in standing.quarantined
        ],
        "evidence": [
            {"code": one.code, "detail": one.detail, "at_ms": one.at_ms} for one in standing.evidence
        ],
        "notices": [{"code": one.code, "at_ms": one.at_ms} for one in standing.notices],
        "late": standing.late,
        "generation": standing.generation,
        "drilled_ms": standing.drilled_ms,
        "held": held_json(standing.held),
        "secrets": standing.secrets,
    }


def _status_lines(standing: Status) -> list[str]:
    held = ", ".join(f"{count} {name}" for name, count in standing.objects.items())
    lines = [
        f"account    {standing.account}",
        f"device     {standing.device}, one of {standing.devices}",
        f"server     {standing.server}",
        f"home       {standing.home}",
        f"secrets    {HOW[standing.secrets]}",
        f"here       {held or 'nothing yet'}; {standing.trash} in the trash",
        f"to send    {standing.pending or 'nothing'}",
        f"last sync  {local_time(standing.last_sync_ms) or 'never'}",
        f"copies     {_copies(standing)}",
        f"phrase     {_drilled(standing)}",
    ]
    if standing.held is not None:
        lines.append(f"held back  {held_line(standing.held)}")
    if standing.brake:
        lines.append(f"STOPPED    {in_short(standing.brake)}: echolia brake")
    if waiting := standing.conflicts + standing.recovered + standing.late:
        lines.append(f"conflicts  {waiting} wait for a decision: echolia conflicts")
    lines += [f"unread     {one.object[:8]}: {_told(one.code)}" for one in standing.quarantined]
    lines += [f"EVIDENCE   {local_time(proof.at_ms)}: {_told(proof.code)}" for proof in standing.evidence]
    if standing.evidence:
        lines.append(
            "           This device takes nothing more from that server. What you wrote is kept here."
        )
    return lines


def _drilled(standing: Status) -> str:
    """When somebody last showed that the 24 words open the account."""
    if standing.drilled_ms is None:
        return "never tried: echolia drill"
    return f"tried {local_time(standing.drilled_ms)}"


def _copies(standing: Status) -> str:
    """On how many devices everything is, as of the last sync."""
    if standing.not_everywhere:
        return f"{standing.not_everywhere} things are not on every device yet"
    if standing.devices == 1:
        return "everything is on this device, the only one"
    return f"everything is on all {standing.devices} devices"


def _told(code: str) -> str:
    return f"{CODES.get(code, 'An error of a newer Echolia.')} [{code}]"
