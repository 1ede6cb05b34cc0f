"""A finished export: opened, read record by record, verified to its end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from echolia.core.errors import EcholiaError
from echolia.core.export_records import CHUNK_BYTES, END, End, Parser, Record, Tally, invalid, stream_bytes
from echolia.e2ee.exports import (
    MAGIC,
    SEALED_CHUNK_BYTES,
    START_BYTES,
    ChunkKey,
    Head,
    head_length,
    read_head,
)

_ZEROS: Final = bytes(CHUNK_BYTES)


class SealedFile:
    """An export on the disk; `end` and its `signature` are there once `records` was read to its end."""

    def __init__(self, path: Path) -> None:
        """Open it and read its head; raises `export_invalid`, `unsupported_version`, `import_unreadable`."""
        self._file = _opened(path)
        try:
            self.head = head_of(self._file)
        except BaseException:
            self._file.close()
            raise
        self.end: End | None = None
        self.signature = b""
        self.bytes = os.fstat(self._file.fileno()).st_size

    def records(self, key: ChunkKey) -> Iterator[Record]:
        """Each record but the end, in order; raises `export_invalid` where it is not what was written."""
        parser, tally, self.end, read = Parser(), Tally(), None, 0
        for plaintext in plain_chunks(self._file, self.head, key, part=False):
            read += CHUNK_BYTES
            if self.end is not None:
                _expect_zeros(plaintext)
                continue
            for record in parser.feed(plaintext):
                if record.kind == END:
                    self.signature, self.end = record.content[:64], tally.check(record.content[64:])
                    length = tally.bytes + len(record.encode())
                    _expect_zeros(bytes(parser.left))
                else:
                    tally.add(record)
                    yield record
        if self.end is None or read != stream_bytes(length):
            raise invalid("it has no end, or another length than its end makes it")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def is_export(path: Path) -> bool:
    """Whether a file begins as an export does."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def head_of(file: BinaryIO) -> Head:
    """The head at the start of a file."""
    start = file.read(START_BYTES)
    return read_head(start + file.read(head_length(start) - START_BYTES))


def plain_chunks(file: BinaryIO, head: Head, key: ChunkKey, *, part: bool) -> Iterator[bytes]:
    """The chunks' plaintexts. Of a part as many as are whole; of a file all, or `export_invalid`."""
    chunks, rest = divmod(os.fstat(file.fileno()).st_size - head.length, SEALED_CHUNK_BYTES)
    if not part and (rest or chunks < 1):
        raise invalid("it is cut short")
    for number in range(chunks):
        # A part may be read while it is cut, so each chunk is looked for where it has to be.
        file.seek(head.length + number * SEALED_CHUNK_BYTES)
        chunk = file.read(SEALED_CHUNK_BYTES)
        try:
            plaintext = key.open(number, not part and number + 1 == chunks, chunk)
        except EcholiaError:
            if part:
                return
            raise
        yield plaintext


def _opened(path: Path) -> BinaryIO:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise EcholiaError("import_unreadable", (error.strerror or "not readable").lower()) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise EcholiaError("import_unreadable", "not a regular file")
    return os.fdopen(handle, "rb")


def _expect_zeros(plaintext: bytes) -> None:
    if plaintext != _ZEROS[: len(plaintext)]:
        raise invalid("something follows its end")
