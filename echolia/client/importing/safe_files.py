"""Reading files somebody else arranged: no link is followed, no device is opened, every read is bounded."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from echolia.client.importing.notes import Skipped
from echolia.core.errors import EcholiaError


class FoundFile(NamedTuple):
    """A regular file under the import folder: its path relative to it, with slashes."""

    path: Path
    relative: str


class OpenedFile(NamedTuple):
    """A file's bytes and when it was last changed (Unix, ms)."""

    content: bytes
    changed_ms: int


def printable(name: str) -> str:
    """A file name that is safe to show: undecodable bytes and control characters are escaped."""
    shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in shown)


def read_file(path: Path, most_bytes: int) -> OpenedFile:
    """The bytes of one regular file.

    Raises `import_outside` for a symbolic link and `import_unreadable` for anything else that is not a
    readable regular file of at most `most_bytes`. The kind is checked on the opened file, so that a file
    swapped for a link or a pipe in between is still not read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise EcholiaError("import_outside", "a link; links are not followed") from None
        raise EcholiaError("import_unreadable", reason_of(error)) from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise EcholiaError("import_unreadable", "not a regular file")
        try:
            content = file.read(most_bytes + 1)
        except OSError as error:
            raise EcholiaError("import_unreadable", reason_of(error)) from None
    if len(content) > most_bytes:
        raise EcholiaError("import_unreadable", f"larger than {most_bytes // 1024} KiB")
    return OpenedFile(content, found.st_mtime_ns // 1_000_000)


def reason_of(error: OSError) -> str:
    """The operating system's words for a failure, without the path."""
    return (error.strerror or "not readable").lower()


def walk(root: Path, suffixes: frozenset[str]) -> Iterator[FoundFile | Skipped]:
    """Every regular file under `root` with one of the suffixes, sorted; links and devices are named.

    Hidden files and folders (.git, .obsidian, .trash) are left out without a word.
    """
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                children = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            name = printable(f"{folder.relative_to(root).as_posix()}/")
            yield Skipped(name, "import_unreadable", reason_of(error))
            continue
        visible = [entry for entry in children if not entry.name.startswith(".")]
        for entry in visible:
            if not entry.is_dir(follow_symlinks=False):
                yield from _file(entry, root, suffixes)
        folders = [Path(entry.path) for entry in visible if entry.is_dir(follow_symlinks=False)]
        pending.extend(reversed(folders))


def _file(entry: os.DirEntry[str], root: Path, suffixes: frozenset[str]) -> Iterator[FoundFile | Skipped]:
    path = Path(entry.path)
    relative = path.relative_to(root).as_posix()
    name = printable(relative)
    wanted = path.suffix.lower() in suffixes
    if entry.is_symlink():
        # A link to a folder has no suffix to go by, and leaving it out unsaid would look like lost notes.
        if wanted or path.is_dir():
            yield Skipped(name, "import_outside", "a link; links are not followed")
    elif wanted and not entry.is_file(follow_symlinks=False):
        yield Skipped(name, "import_unreadable", "not a regular file")
    elif wanted:
        yield FoundFile(path, relative)
