"""Notes to import whose every word is a canary: Markdown, a Day One export, and what is refused of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tests.journeys.canary.flock import NAME, Flock


def markdown(folder: Path, flock: Flock) -> Path:
    """A folder of notes: good ones, ones that are noted, and ones that are skipped and named."""
    inner = folder / flock.word("folder", NAME)
    inner.mkdir(parents=True)

    def note(content: bytes, label: str) -> None:
        (inner / f"{flock.word(label, NAME)}.md").write_bytes(content)

    head = (
        f"---\ntitle: {flock.word('title')}\ntags: [{flock.word('tag')}, {flock.word('tag')}]\n"
        f"{flock.word('key')}: {flock.word('value')}\ndate: 2020-01-02\n---\n"
    )
    note(f"{head}{flock.text('body')}\r\n{flock.text('body')}".encode(), "note")
    note(f"# {flock.text('heading')}\n\n{flock.text('body')}\n".encode(), "heading")
    note(f"---\n{flock.word('bad yaml')}: [{{\n---\n{flock.text('body')}".encode(), "bad front matter")
    note(f"\ufeff{flock.text('body')}".encode(), "byte order mark")
    note(flock.text("not UTF-8").encode() + b"\xff\xfe\x80", "not UTF-8")
    note(flock.text("too long").encode() * 50_000, "too long")
    outside = folder.parent / flock.word("outside", NAME)
    outside.write_text(flock.text("outside"))
    (inner / f"{flock.word('link', NAME)}.md").symlink_to(outside)
    return folder


def day_one(path: Path, flock: Flock, entries: int = 3) -> Path:
    """A Day One archive of so many entries and one that is none."""
    listed = [
        {
            "uuid": f"{number:032X}",
            "text": f"# {flock.text('day one heading')}\n\n{flock.text('day one text')}\\.",
            "creationDate": "2019-05-04T12:00:00Z",
            "tags": [flock.text("day one tag")],
            "location": {"placeName": flock.text("place"), "latitude": 1.5},
            "weather": {"conditionsDescription": flock.text("weather")},
            "photos": [{"identifier": flock.word("photo"), "md5": flock.word("photo")}],
        }
        for number in range(entries)
    ]
    journal = {"metadata": {"version": "1.0"}, "entries": [*listed, {"text": flock.text("no uuid")}]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{flock.word('journal', NAME)}.json", json.dumps(journal))
        archive.writestr(f"../{flock.word('beside', NAME)}.json", json.dumps(journal))
    return path
