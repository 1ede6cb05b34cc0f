"""`echolia demo`: two devices, one server and a thief, played out with the real programs."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

import click

from echolia.client import Device, Record
from echolia.client.cli.demo.server import running_server
from echolia.client.cli.demo.stage import Stage
from echolia.client.cli.demo.thief import SEALED_AT, Search, Stored, search, stored_changes
from echolia.client.cli.failures import JSON_KEY
from echolia.client.cli.output import json_line, plain_line
from echolia.client.importing import bring_in, front_matter, reader_for
from echolia.core.runs import STATE

NOTES: Final = {
    "heron.md": "---\ntitle: The grey heron\ntags: [river]\ndate: 2026-03-01\n---\n"
    "It stood by the weir all morning.\nNobody else saw it.\n",
    "doctor.md": "# What the doctor said\n\nCome back in April, and sleep more.\n",
    "surprise.txt": "Surprise party for Ada: the boathouse, Saturday at eight.\n",
}
MOVED: Final = "The grey heron"
LAPTOP_LINE: Final = "Written on the laptop, in a train without a network.\n"
PHONE_LINE: Final = "Written on the phone, in a tunnel.\n"
LAPTOP_TITLE: Final = "The heron at the weir"
PHONE_TITLE: Final = "Morning heron"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the story came to, for whoever asks in JSON: promises by name, and whether each held."""

    promises: dict[str, bool]
    changes_stored: int
    bytes_searched: int
    phrases_searched: int
    seconds: float
    kept: str | None


@click.command(epilog="Example: echolia demo --keep")
@click.option("--keep", is_flag=True, help="Keep the folder with the devices' and the server's data.")
@click.option("--json", "as_json", is_flag=True, help="Only what it came to, as one JSON object.")
def demo(keep: bool, as_json: bool) -> None:
    """Two devices, one server and a thief: a real server starts, two real devices pair and sync through it.

    They edit the same note offline; then the server's disk is searched for what they wrote. Takes some
    seconds, needs nothing, leaves nothing behind. Exits with 1 if any promise does not hold.
    """
    click.get_current_context().meta[JSON_KEY] = as_json
    with _folder(keep) as folder:
        outcome = _play(Stage(not as_json), folder, str(folder) if keep else None)
    if as_json:
        click.echo(json_line(asdict(outcome)))
    elif keep:
        click.echo(f"\nKept in {folder}: laptop, phone, server, notes.")
    if not all(outcome.promises.values()):
        click.get_current_context().exit(1)


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="echolia-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


class _Met(NamedTuple):
    """What came of the devices' meeting: promises, the laptop's notes and its id."""

    promises: dict[str, bool]
    records: list[Record]
    laptop: str


def _play(stage: Stage, folder: Path, kept: str | None) -> Outcome:
    started = time.monotonic()
    data, notes = folder / "server", folder / "notes"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text)
    with running_server(data) as address:
        stage.act("A server that cannot read")
        stage.say(f"It listens on {address}; everything it will ever know is in {data}.")
        met = asyncio.run(_meet(stage, folder, address))
    stolen = _theft(stage, data, met)
    return Outcome(
        promises={**met.promises, "nothing_to_read_on_the_server": not stolen.search.found},
        changes_stored=stolen.changes,
        bytes_searched=stolen.search.bytes,
        phrases_searched=stolen.search.phrases,
        seconds=round(time.monotonic() - started, 2),
        kept=kept,
    )


async def _meet(stage: Stage, folder: Path, address: str) -> _Met:
    laptop, phrase = await Device.init(folder / "laptop", address, kept="file")
    async with laptop:
        await _begun(stage, laptop, phrase, folder / "notes")
        async with await _paired(stage, laptop, folder / "phone") as phone:
            arrived = await _arrived(stage, laptop, phone)
            promises = await _apart_and_together(stage, laptop, phone)
        records = list(await laptop.collection("entries").list())
        return _Met({"notes_arrive": arrived, **promises}, records, laptop.id)


async def _begun(stage: Stage, laptop: Device, phrase: str, notes: Path) -> None:
    """The first device: an account, its phrase, some imported notes, a first sync."""
    await laptop.phrase_kept()
    words = phrase.split()
    stage.act("A laptop makes an account")
    stage.say(f"No name, no address, no password: account {laptop.account}.")
    stage.say(f"Recovery phrase, shown once: {' '.join(words[:4])} … ({len(words)} words)")
    report = await bring_in(laptop, reader_for(notes))
    sent = await laptop.sync()
    stage.say(f"{report.new} notes imported from Markdown files, {sent.pushed} sealed changes sent.")


async def _paired(stage: Stage, laptop: Device, home: Path) -> Device:
    """The second device joins by the code of the first; six digits go back the other way."""
    stage.act("A phone joins")
    async with laptop.pair() as pairing, Device.join(home, pairing.code, kept="file") as joining:
        stage.say(f"The laptop shows   {pairing.code[:44]}…")
        _, digits = await asyncio.gather(pairing.guest(), joining.digits())
        stage.say(f"The phone shows    {digits[:3]} {digits[3:]}, and a person types that on the laptop")
        _, phone = await asyncio.gather(pairing.confirm(digits), joining.finish())
    stage.say("The account's keys went from device to device; the server carried them sealed.")
    return phone


async def _arrived(stage: Stage, laptop: Device, phone: Device) -> bool:
    report = await phone.sync()
    ours, theirs = [await device.collection("entries").list() for device in (laptop, phone)]
    same = {record.id: record.fields for record in ours} == {record.id: record.fields for record in theirs}
    titles = ", ".join(sorted(record.title for record in theirs))
    return stage.promise(same, f"The phone received {report.pulled} changes and shows: {titles}.")


async def _apart_and_together(stage: Stage, laptop: Device, phone: Device) -> dict[str, bool]:
    """Both edit the same note offline, then sync; which promises held."""
    stage.act("Both edit the same note, offline")
    here, there = laptop.collection("entries"), phone.collection("entries")
    note = next(record for record in await here.list() if record.title == MOVED)
    body = str(note.fields["body"])
    await here.update(note.id, {"title": LAPTOP_TITLE, "body": LAPTOP_LINE + body})
    await there.update(note.id, {"title": PHONE_TITLE, "body": body + PHONE_LINE})
    stage.say(f"laptop: title “{LAPTOP_TITLE}”, a line at the top")
    stage.say(f"phone:  title “{PHONE_TITLE}”, a line at the end")
    for device in (laptop, phone, laptop):
        await device.sync()
    stage.act("They meet again")
    ours, theirs = await here.get(note.id), await there.get(note.id)
    merged = str(ours.fields["body"])
    stage.note(" ⟷ ".join(_titles(ours)), merged.removesuffix("\n"))
    both = {LAPTOP_TITLE, PHONE_TITLE}
    return {
        "texts_merge": stage.promise(
            merged == LAPTOP_LINE + body + PHONE_LINE, "Both lines are there: texts merge letter by letter."
        ),
        "conflicts_are_flagged": stage.promise(
            set(_titles(ours)) == both and "title" in ours.conflicts,
            "Both titles are there: nobody's was thrown away, the note waits for a decision.",
        ),
        "devices_agree": stage.promise(
            (ours.fields, _titles(ours)) == (theirs.fields, _titles(theirs)), "Both devices show the same."
        ),
    }


def _titles(record: Record) -> list[str]:
    choices = record.conflicts.get("title", ())
    return sorted(str(choice.value) for choice in choices) or [record.title]


class _Stolen(NamedTuple):
    changes: int
    search: Search


def _theft(stage: Stage, data: Path, met: _Met) -> _Stolen:
    """The server has stopped, its disk is taken: show what is on it beside what it stands for."""
    stage.act("The server's disk is stolen")
    written = _written(met.records)
    stored = [(one, _what(one, written, met.laptop)) for one in stored_changes(data)]
    headings = ["what was written", "what the server sees of it", "what it holds of it"]
    stage.table(headings, [_row(one, said) for one, said in stored])
    stage.say(
        "It sees who wrote in which order, a random number for the note and a pseudonym for its collection, "
        "padded sizes and times of arrival. It does not see a word."
    )
    found = search(data, _phrases(met.records))
    outcome = f"there are {', '.join(found.found)}" if found.found else "not one is there"
    searched = f"{found.files} files, {found.bytes:,} bytes searched for {found.phrases} phrases"
    stage.promise(not found.found, f"{searched}, in eight spellings each: {outcome}.")
    return _Stolen(len(stored), found)


def _written(records: Sequence[Record]) -> dict[str, str]:
    """The imported file behind each object: its name and how it begins."""
    written: dict[str, str] = {}
    for record in records:
        source = record.fields["source"]
        assert isinstance(source, Mapping)
        name = str(source["key"])
        written[record.id] = f"{name}: {plain_line(front_matter.split(NOTES[name]).body)}"
    return written


def _what(stored: Stored, written: Mapping[str, str], laptop: str) -> str:
    """What a stored change says; only who wrote it can know."""
    if stored.change.kind == STATE:
        return written[stored.change.object.hex()]
    by_laptop = stored.device.hex() == laptop
    title, line = (LAPTOP_TITLE, LAPTOP_LINE) if by_laptop else (PHONE_TITLE, PHONE_LINE)
    return f"title “{title}”; {line}"


def _row(stored: Stored, written: str) -> list[str]:
    change = stored.change
    clear = (
        f"device {stored.device.hex()[:6]}…, its change no. {change.counter}, "
        f"{'a whole object' if change.kind == STATE else 'an addition'}, object {change.object.hex()[:6]}…, "
        f"stream {change.stream.hex()[:6]}…"
    )
    held = change.body[SEALED_AT:][:12].hex(" ")
    return [f"{plain_line(written)[:60]} …", clear, f"{len(change.body)} bytes: {held} …"]


def _phrases(records: Sequence[Record]) -> list[str]:
    """Everything the notes say: file names, titles, tags, lines."""
    phrases = [*NOTES, MOVED]
    for record in records:
        phrases += [*_titles(record), *str(record.fields["body"]).splitlines()]
    return list(dict.fromkeys(phrase for phrase in phrases if phrase))
