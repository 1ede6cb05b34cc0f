"""The command that shows a mass change of other devices and decides about it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

import click

from echolia.client.cli.output import plain_line
from echolia.client.cli.session import Session, with_session

if TYPE_CHECKING:
    from echolia.client import Brake, Device, Loss, Rewound

_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86_400}
NOTHING: Final = "Nothing waits for a decision."


class Ago(click.ParamType[int]):
    """A time that is given as how long ago it was: 30m, 2h or 1d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The milliseconds."""
        found = re.fullmatch(r"([1-9]\d{0,3})([mhd])", str(value))
        if found is None:
            self.fail("say how long ago: 30m, 2h or 1d", param, ctx)
        return int(found[1]) * _UNITS_S[found[2]] * 1000


@click.command(epilog="Example: echolia brake rewind")
@click.argument("decision", metavar="[accept|rewind]", required=False)
@click.option("--since", "ago_ms", type=Ago(), help="Rewind all that others changed since: 30m, 2h or 1d.")
@with_session
async def brake(session: Session, decision: str | None, ago_ms: int | None) -> None:
    """Show what was stopped, where other devices would delete or overwrite much of what is here; or decide.

    accept applies it as it is. rewind applies it and undoes it, on all devices: what was deleted is restored,
    what was overwritten set back. What was accepted can be rewound for 30 days, and with --since any change
    of other devices for a day.
    """
    if decision not in {None, "accept", "rewind"}:  # click's own words would repeat what was typed
        raise click.UsageError("Say accept or rewind, or nothing to see what waits.")
    if ago_ms is not None and decision != "rewind":
        raise click.UsageError("--since goes with rewind.")
    async with session.device() as device:
        found = await device.brake()
        if decision == "rewind" and (found is None or ago_ms is not None):
            since_ms = None if ago_ms is None else time.time_ns() // 1_000_000 - ago_ms
            _tell_rewound(session, await device.rewind(since_ms), sent=False)
        elif decision is None or found is None:
            _tell(session, found)
        else:
            await _release(session, device, decision)


async def _release(session: Session, device: Device, decision: str) -> None:
    report = await device.release("accept" if decision == "accept" else "rewind")
    if report.rewound is not None:
        _tell_rewound(session, report.rewound, sent=True)
    else:
        session.out.result({"pulled": report.pulled}, "It is applied. echolia brake rewind undoes it.")


def _tell(session: Session, found: Brake | None) -> None:
    if found is None:
        session.out.result({"brake": None}, NOTHING)
        return
    session.out.result({"brake": brake_json(found)}, "\n".join(_lines(found)))


def _tell_rewound(session: Session, rewound: Rewound, *, sent: bool) -> None:
    text = rewound_text(rewound)
    if not sent and (rewound.restored or rewound.set_back):
        text += " echolia sync sends it."
    session.out.result({"rewound": rewound_json(rewound)}, text)


def rewound_json(rewound: Rewound) -> dict[str, int]:
    """What a rewind came to, in JSON."""
    return {"restored": rewound.restored, "set_back": rewound.set_back, "left": rewound.left}


def rewound_text(rewound: Rewound) -> str:
    """The same for people."""
    return f"{rewound.restored} restored, {rewound.set_back} set back, {rewound.left} left as they are."


def brake_json(found: Brake) -> dict[str, Any]:
    """A mass change in JSON."""
    return {
        "at_ms": found.at_ms,
        "held": found.held,
        "deletions": found.deletions,
        "overwrites": found.overwrites,
        "complete": found.complete,
        "devices": {
            device: {"deletions": gone, "overwrites": changed}
            for device, (gone, changed) in found.devices.items()
        },
        "examples": [
            {"id": one.object, "title": one.title, "deleted": one.deleted} for one in found.examples
        ],
    }


def in_short(found: Brake) -> str:
    """A mass change in half a sentence."""
    least = "" if found.complete else "at least "
    return f"{least}{found.deletions} deletions and {found.overwrites} overwrites of {found.held} things"


def _lines(found: Brake) -> list[str]:
    lines = [f"Stopped: {in_short(found)}."]
    lines += [
        f"  device {device[:8]}   {gone} deleted, {changed} overwritten"
        for device, (gone, changed) in found.devices.items()
    ]
    if found.examples:
        lines += ["", "Some of what it is about:", *map(_example, found.examples)]
    return [
        *lines,
        "",
        "echolia brake accept    applies it as it is",
        "echolia brake rewind    undoes it, on all devices",
    ]


def _example(loss: Loss) -> str:
    done = "deleted    " if loss.deleted else "overwritten"
    return f"  {loss.object[:8]}  {done}  {plain_line(loss.title)}".rstrip()
