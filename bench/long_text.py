"""A text of real length, typed on two devices at once through a real server; a markdown table.

    .venv/bin/python -m bench.long_text                            # 26,000 edits of the typing log
    .venv/bin/python -m bench.long_text --keys 1 --edits 5000      # each keystroke a change of its own
    .venv/bin/python -m bench.long_text --trace paper.json.gz      # a trace of the editing-traces collection

The devices take turns at typing, and while one types, the other, which lags behind, puts markers between the
letters. In the end both have to show the trace's text to the letter, and every marker once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import statistics
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from pathlib import Path
from typing import Final, TypeVar

from bench import editing_traces
from bench.editing_traces import Edit, Trace
from echolia.client import Device, SpliceText
from echolia.client.http_transport import HttpTransport
from echolia.client.transport import Answer, Request
from tests.support.process import ServerProcess

MARKER: Final = re.compile(r"⟦\d{5}⟧")
_MARKER_LENGTH: Final = 7
_Item = TypeVar("_Item")


class Wire(HttpTransport):
    """Counts what goes over the wire: requests, and bytes of bodies in both directions."""

    requests = sent = received = 0

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        answer = await super().ask(request)
        self.requests += 1
        self.sent += len(request.body)
        self.received += len(answer.body)
        return answer


@dataclass
class Desk:
    """A device at which somebody types in the one text, and what that cost it in processor time."""

    device: Device
    wire: Wire
    entry: str
    places: list[int] = field(
        default_factory=list
    )  # of each marker: how many letters of the trace precede it
    edit_s: list[float] = field(default_factory=list)
    sync_s: list[float] = field(default_factory=list)

    async def type(self, edits: list[Edit]) -> None:
        """One change: these edits of the trace, where they belong among the markers shown here."""
        await self._change([splice for edit in edits for splice in self._placed(edit)])

    async def mark(self, number: int, place: int) -> None:
        """One change: a marker behind so many letters of the trace."""
        at = place + _MARKER_LENGTH * bisect_right(self.places, place)
        self.places.insert(bisect_right(self.places, place), place)
        await self._change([SpliceText(at, 0, f"⟦{number:05}⟧")])

    async def sync(self) -> None:
        """Sync, and look where the markers are now."""
        started = time.process_time()
        await self.device.sync()
        self.sync_s.append(time.process_time() - started)
        found = enumerate(MARKER.finditer(await self.text()))
        self.places = [match.start() - _MARKER_LENGTH * n for n, match in found]

    async def text(self) -> str:
        """What this device shows."""
        return str((await self.device.collection("entries").get(self.entry)).fields.get("body", ""))

    async def letters(self) -> int:
        """How many letters of the trace it shows."""
        return len(MARKER.sub("", await self.text()))

    async def _change(self, splices: list[SpliceText]) -> None:
        started = time.process_time()
        await self.device.collection("entries").update(self.entry, {"body": splices})
        self.edit_s.append(time.process_time() - started)

    def _placed(self, edit: Edit) -> Iterator[SpliceText]:
        end = edit.position + edit.delete
        first, last = bisect_right(self.places, edit.position), bisect_left(self.places, end)
        cuts = [edit.position, *self.places[first:last], end] if edit.delete else []
        for n, (start, stop) in reversed(list(enumerate(pairwise(cuts)))):
            yield SpliceText(start + _MARKER_LENGTH * (first + n), stop - start, "")
        if edit.insert:
            yield SpliceText(edit.position + _MARKER_LENGTH * first, 0, edit.insert)
        grown = len(edit.insert) - edit.delete
        for n in range(first, len(self.places)):
            place = self.places[n]
            self.places[n] = place + grown if place >= end else edit.position + len(edit.insert)


@dataclass(frozen=True)
class Pace:
    """How the trace is typed: edits a change, changes a sync, syncs a turn, markers a turn."""

    keys: int = 10
    changes: int = 5
    syncs: int = 4
    markers: int = 3


async def replay(trace: Trace, desks: tuple[Desk, Desk], pace: Pace, dice: random.Random) -> int:
    """Type the trace by turns, with markers set meanwhile; the number of markers."""
    turns = _cut(trace.edits, pace.keys * pace.changes * pace.syncs)
    marked = 0
    for turn, (typing, lagging) in zip(turns, cycle([desks, desks[::-1]]), strict=False):
        for portion in _cut(turn, pace.keys * pace.changes):
            for edits in _cut(portion, pace.keys):
                await typing.type(edits)
            await typing.sync()
        letters = await lagging.letters()
        for _ in range(pace.markers):
            await lagging.mark(marked, dice.randint(0, letters))
            marked += 1
        for desk in (lagging, typing, lagging):
            await desk.sync()
    return marked


def _cut(items: list[_Item], length: int) -> Iterator[list[_Item]]:
    return (items[at : at + length] for at in range(0, len(items), length))


def check(trace: Trace, texts: list[str], markers: int) -> None:
    """Raise AssertionError unless all texts are one, the trace's, with every marker in it once."""
    assert len(set(texts)) == 1, "the devices show different texts"
    found = sorted(MARKER.findall(texts[0]))
    assert found == [f"⟦{number:05}⟧" for number in range(markers)], "a marker is missing or doubled"
    assert MARKER.sub("", texts[0]) == trace.text, "the text is not what was typed"


async def desks_at(server: str, folder: Path) -> tuple[Desk, Desk]:
    """Two devices of one account that share an empty text."""
    wires = Wire(server), Wire(server)
    laptop, _ = await Device.init(folder / "laptop", server, transport=wires[0], kept="file")
    entry = await laptop.collection("entries").create({"title": "Long"})
    phone = await joined(laptop, folder / "phone", wires[1])
    for device in (laptop, phone):
        await device.sync()
    return Desk(laptop, wires[0], entry), Desk(phone, wires[1], entry)


async def joined(owner: Device, home: Path, wire: Wire) -> Device:
    """One more device of the account."""
    async with (
        owner.pair() as pairing,
        Device.join(home, pairing.code, transport=wire, kept="file") as joining,
    ):
        digits = asyncio.create_task(joining.digits())
        await pairing.guest()
        confirming = asyncio.create_task(pairing.confirm(await digits))
        device: Device = await joining.finish()
        await confirming
    return device


async def measured(trace: Trace, pace: Pace, server: ServerProcess, folder: Path) -> list[tuple[str, str]]:
    """Replay, check, let a new device join, and give the table's rows."""
    desks = await desks_at(server.url, folder)
    started = time.perf_counter()
    markers = await replay(trace, desks, pace, random.Random(7))
    took = time.perf_counter() - started
    wire = Wire(server.url)
    joining = Desk(await joined(desks[0].device, folder / "tablet", wire), wire, desks[0].entry)
    await joining.sync()
    text = await joining.text()
    check(trace, [text, *[await desk.text() for desk in desks]], markers)
    changes, sent = sum(len(desk.edit_s) for desk in desks), sum(desk.wire.sent for desk in desks)
    rows = [
        ("edits, in changes of so many", f"{len(trace.edits):,}, {pace.keys}"),
        ("characters in the end, markers among them", f"{len(text):,}, {markers:,}"),
        ("changes, syncs", f"{changes:,}, {sum(len(desk.sync_s) for desk in desks):,}"),
        ("all of it, s by the clock", f"{took:.0f}"),
        (f"an edit, {_SPREAD}", _spread([desk.edit_s for desk in desks])),
        (f"a sync, {_SPREAD}", _spread([desk.sync_s for desk in desks])),
        ("sent by both, KiB; a change, bytes", f"{_kib(sent)}; {sent / changes:,.0f}"),
        ("received by both, KiB", _kib(sum(desk.wire.received for desk in desks))),
        ("requests of both", f"{sum(desk.wire.requests for desk in desks):,}"),
        ("a new device: sync, ms of processor", f"{1000 * joining.sync_s[0]:,.0f}"),
        ("a new device: received, KiB", _kib(wire.received)),
    ]  # fmt: skip
    for device in (*(desk.device for desk in desks), joining.device):
        await device.aclose()
    return rows


_SPREAD: Final = "ms of processor: median of the first tenth, of the last tenth; most"


def _spread(taken: list[list[float]]) -> str:
    tenths = [(s[: max(1, len(s) // 10)], s[-max(1, len(s) // 10) :]) for s in taken]
    first = statistics.median([each for head, _ in tenths for each in head])
    last = statistics.median([each for _, tail in tenths for each in tail])
    return f"{1000 * first:.1f}, {1000 * last:.1f}; {1000 * max(map(max, taken)):.1f}"


def _kib(size: float) -> str:
    return f"{size / 1024:,.0f}"


def _size(folder: Path) -> str:
    return _kib(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def main() -> None:
    """Measure in a folder of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trace", type=Path, help="a trace of the editing-traces collection (.json.gz)")
    parser.add_argument("--edits", type=int, default=26_000, help="the first so many of it")
    parser.add_argument("--keys", type=int, default=Pace.keys, help="edits a change")
    words = parser.parse_args()
    if words.trace is None and not editing_traces.TYPING_LOG.is_file():
        parser.error(f"the typing log is not installed; install it by: {editing_traces.INSTALL}")
    trace = (
        editing_traces.read(words.trace, words.edits) if words.trace else editing_traces.typed(words.edits)
    )
    with tempfile.TemporaryDirectory(prefix="long-text-") as name:
        folder = Path(name)
        with ServerProcess(folder / "server") as server:
            rows = asyncio.run(measured(trace, Pace(words.keys), server, folder))
        rows += [
            (f"{home}, KiB on disk", _size(folder / home)) for home in ("server", "laptop", "phone", "tablet")
        ]
    print(f"| {trace.name}; load of the machine {os.getloadavg()[0]:.1f} | |\n|---|---:|")
    print("\n".join(f"| {name} | {value} |" for name, value in rows))


if __name__ == "__main__":
    main()
