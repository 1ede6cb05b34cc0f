"""Where a server could leave something: its log, its files, its tables, its answers, its system calls."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.journeys.canary.encodings import Searcher

_USERS_FILE: Final = re.compile(r"users/[0-9a-f]{2}/[0-9a-f]{32}\.(db|new|gone)(-wal|-shm|-journal)?")
_LOGS: Final = ("-wal", "-shm", "-journal")


class Place(NamedTuple):
    """Something to search: its name, as promises speak of it, and its bytes."""

    name: str
    content: bytes


class Find(NamedTuple):
    """A canary where it was found; told without its random part, so that failures read alike in each run."""

    kind: str
    place: str
    form: str


def search(searcher: Searcher, places: Iterable[Place]) -> dict[Find, bytes]:
    """Every canary in every place, each kind, place and form once, with what surrounds it there."""
    found: dict[Find, bytes] = {}
    for place in places:
        for hit in searcher.hits(place.content):
            found.setdefault(Find(hit.kind, place.name, hit.form), hit.around)
    return found


def file_name(relative: str) -> str:
    """A file of the data folder by its role: accounts' databases are alike, logs belong to their database."""
    if _USERS_FILE.fullmatch(relative):
        return "file users/*.db"
    for log in _LOGS:
        relative = relative.removesuffix(log)
    return f"file {relative}"


def files(folder: Path) -> Iterator[Place]:
    """Every file of a folder, and the names of all of them."""
    names = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        names.append(relative)
        if path.is_file():
            yield Place(file_name(relative), path.read_bytes())
    yield Place("file names", "\n".join(names).encode("utf-8", "surrogateescape"))


def tables(folder: Path, scratch: Path) -> Iterator[Place]:
    """Every column of every database in the folder, read from a copy, so that nothing is disturbed.

    A database that cannot be read (one that the test damaged) is searched as a file alone.
    """
    for path in sorted(folder.rglob("*.db")):
        copy = scratch / "copy.db"
        for log in ("", *_LOGS):
            source, target = path.with_name(path.name + log), scratch / f"copy.db{log}"
            target.unlink(missing_ok=True)
            if log != "-shm" and source.is_file():
                shutil.copyfile(source, target)
        name = "users" if path.parent.parent.name == "users" else path.stem
        try:
            yield from _columns(copy, name)
        except sqlite3.DatabaseError:
            continue


def _columns(database: Path, name: str) -> Iterator[Place]:
    connection = sqlite3.connect(database)
    try:
        listed = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
        yield Place(f"schema {name}", repr(listed).encode())
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        connection.text_factory = bytes  # a text need not be UTF-8
        for (table,) in tables:
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            columns = [column for column, *_ in cursor.description]
            for row in cursor:
                for column, value in zip(columns, row, strict=True):
                    yield Place(f"column {name}.{table}.{column}", _bytes(value))
    finally:
        connection.close()


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


# --- strace -----------------------------------------------------------------------------------------

_CALL: Final = re.compile(
    rb"\b(?:write|pwrite64|writev|pwritev2?|sendto|sendmsg)\(\d+<([^\n]*?)>(?:\(deleted\))?, ([^\n]*)"
)
_STRING: Final = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"')
STRACE_CALLS: Final = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg"


def written(trace: bytes, data: Path, log: Path) -> Iterator[Place]:
    """What a traced server handed to the system, by where it went: `strace -f -yy -xx -s 65536` wrote it.

    Each write is searched by itself, for a stream may begin with it, and all to one place together, for a
    canary may be split over two.
    """
    parts: dict[str, list[bytes]] = {}
    for call in _CALL.finditer(trace):
        text = b"".join(_STRING.findall(call[2]))
        target = bytes.fromhex(call[1].replace(b"\\x", b"").decode()) if b"\\x" in call[1] else call[1]
        parts.setdefault(_target(target.decode("utf-8", "replace"), data, log), []).append(
            bytes.fromhex(text.replace(b"\\x", b"").decode())
        )
    for name, pieces in parts.items():
        yield from (Place(name, piece) for piece in (*pieces, b"".join(pieces)))


def _target(path: str, data: Path, log: Path) -> str:
    if path.startswith(("TCP", "socket:", "UNIX", "TCPv6")):
        return f"sent {'TCP' if path.startswith('TCP') else path.partition(':')[0]}"
    if path == str(log):
        return "sent log"
    if path.startswith(f"{data}/"):
        return "written " + file_name(path.removeprefix(f"{data}/")).removeprefix("file ")
    return f"written {path}"
