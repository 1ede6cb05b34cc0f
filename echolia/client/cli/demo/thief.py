"""What somebody holds who has taken the server's disk: every byte of it, read without asking anybody."""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from echolia.core import runs
from echolia.core.errors import EcholiaError

# Before the ciphertext stand the wrapped key, a nonce and a commitment (spec/envelope.md#body).
SEALED_AT: Final = 72 + 24 + 32


@dataclass(frozen=True, slots=True)
class Stored:
    """One change as the server keeps it: the writer's id, and the header and sealed body beside it."""

    device: bytes
    change: runs.Change


def stored_changes(data: Path) -> Iterator[Stored]:
    """Every change in the accounts' databases under the server's data folder, in log order."""
    for file in sorted(data.rglob("*.db")):
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone() is None:
                continue
            for (frame,) in database.execute("SELECT frame FROM runs ORDER BY seq"):
                header = runs.read_header(frame)
                ends = runs.change_ends(frame, header)
                for change in runs.read_changes(frame, header, ends):
                    yield Stored(header.device, change)


@dataclass(frozen=True, slots=True)
class Search:
    """How a search of the disk went: where, for how many phrases, and which of them were there."""

    files: int
    bytes: int
    phrases: int
    found: tuple[str, ...]


def search(data: Path, phrases: Iterable[str]) -> Search:
    """Look for the phrases in every byte of the folder, as text and in the ways that programs write text."""
    wanted = list(phrases)
    if not wanted:
        raise EcholiaError("usage", "nothing to look for")
    contents = [file.read_bytes() for file in sorted(data.rglob("*")) if file.is_file()]
    found = [
        phrase for phrase in wanted if any(form in raw for form in spellings(phrase) for raw in contents)
    ]
    return Search(len(contents), sum(map(len, contents)), len(wanted), tuple(found))


def spellings(phrase: str) -> Iterator[bytes]:
    """The phrase as UTF-8, UTF-16, in either case, hexadecimal, and base64 at each of its three offsets."""
    raw = phrase.encode()
    yield from (raw, raw.lower(), raw.upper(), raw.hex().encode(), phrase.encode("utf-16-le"))
    for offset in range(3):
        # The first and last characters mix with the neighbours; what is between them does not.
        padded = b64encode(bytes(offset) + raw).rstrip(b"=")
        yield padded[4 if offset else 0 : -1]
