"""Reading members of a zip archive into memory, bounded; nothing is ever unpacked onto the disk."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from echolia.client.importing.notes import Skipped
from echolia.client.importing.safe_files import printable, reason_of
from echolia.core.errors import EcholiaError

MOST_MEMBERS: Final = 200_000
# Text shrinks tenfold, seldom twentyfold; an archive that claims more is made to fill memory.
MOST_RATIO: Final = 100
RATIO_COUNTS_FROM_BYTES: Final = 1024 * 1024


class Member(NamedTuple):
    """A file inside an archive and its bytes."""

    name: str
    content: bytes


def json_members(path: Path, most_bytes: int) -> Iterator[Member | Skipped]:
    """Each `*.json` of the archive, in the order of names; what leads outside or is too large is named.

    Raises `import_unreadable` if the archive itself cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.filelist) > MOST_MEMBERS:
                raise EcholiaError("import_unreadable", f"more than {MOST_MEMBERS} files in the archive")
            for member in sorted(archive.filelist, key=lambda member: member.filename):
                if member.filename.lower().endswith(".json") and not _hidden(member.filename):
                    yield _member(archive, member, most_bytes)
    except zipfile.BadZipFile:
        raise EcholiaError("import_unreadable", "not a zip archive, or a damaged one") from None
    except OSError as error:
        raise EcholiaError("import_unreadable", reason_of(error)) from None


def _hidden(name: str) -> bool:
    # macOS puts a shadow of every file under __MACOSX/._name
    return any(part.startswith("._") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most_bytes: int) -> Member | Skipped:
    name = printable(member.filename)
    mode = member.external_attr >> 16
    if leads_outside(member.filename) or stat.S_ISLNK(mode):
        return Skipped(name, "import_outside", "the archive names a path outside of itself")
    swollen = member.file_size > RATIO_COUNTS_FROM_BYTES and (
        member.file_size > MOST_RATIO * max(member.compress_size, 1)
    )
    if member.file_size > most_bytes or swollen:
        return Skipped(name, "import_unreadable", "unpacks to more than it may")
    try:
        with archive.open(member) as file:
            content = file.read(most_bytes + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):
        return Skipped(name, "import_unreadable", "damaged, encrypted or packed in an unknown way")
    return Member(name, content)


def leads_outside(name: str) -> bool:
    """Whether a path inside an archive is absolute or climbs out of it, by any system's rules."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or name[1:2] == ":" or "\0" in name
