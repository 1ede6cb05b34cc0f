"""An export while it is written: sealed chunk by chunk into `FILE.part`, where another run goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

from echolia.client.environment import Environment
from echolia.client.exporting.sealed_file import head_of, plain_chunks
from echolia.client.faults import home_faults
from echolia.client.vault import sync_folder
from echolia.core.errors import EcholiaError
from echolia.core.export_records import CHUNK_BYTES, END, Parser, Record, Tally, end_message, stream_bytes
from echolia.core.positions import LogPosition
from echolia.e2ee.exports import MAGIC, SEALED_CHUNK_BYTES, ChunkKey, Head
from echolia.e2ee.keys import KeyPairs

SUFFIX: Final = ".part"


class Part:
    """Takes records; as long as a former run left the same ones, they are kept and nothing is written.

    Any call may raise `disk_full`: what is in the part stays, and another run goes on.
    """

    def __init__(
        self, path: Path, file: BinaryIO, head: Head, key: ChunkKey, environment: Environment
    ) -> None:
        """Use `begin` or `go_on` instead."""
        self.path, self._file, self._head, self._key = path, file, head, key
        self._environment, self.tally = environment, Tally()
        self._number, self._buffer = 0, bytearray()
        self._kept: Iterator[Record] | None = None
        self._next: Record | None = None

    @classmethod
    def begin(cls, path: Path, head: Head, key: ChunkKey, environment: Environment) -> Self:
        """A part with nothing in it but its head."""
        with home_faults():
            path.unlink(missing_ok=True)
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            part = cls(path, os.fdopen(handle, "r+b", buffering=0), head, key, environment)
            try:
                part._write(head.raw + head.commitment)
            except BaseException:
                part.close()
                raise
        return part

    @classmethod
    def go_on(cls, path: Path, head: Head, key: ChunkKey, environment: Environment) -> Self:
        """The part that a former run has left, which this device's key opens."""
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        part = cls(path, os.fdopen(handle, "r+b", buffering=0), head, key, environment)
        part._kept = part._left_behind()
        part._next = next(part._kept, None)
        return part

    def peek(self) -> Record | None:
        """The next record that a former run left; None if there is none to keep."""
        return self._next

    def keep(self) -> None:
        """Keep the record that `peek` gave."""
        assert self._kept is not None and self._next is not None
        self.tally.add(self._next)
        self._next = next(self._kept, None)

    def add(self, record: Record) -> None:
        """The next record: the one that is there already, or else in place of all that follows."""
        if self._next == record:
            self.keep()
            return
        self._cut()
        self.tally.add(record)
        self._append(record.encode())

    def finish(self, position: LogPosition | None, keys: KeyPairs) -> None:
        """Write the end, signed by these keys, and see that all of it is on the disk."""
        self._cut()
        end = self.tally.end(position, keys.device).encode()
        signature = keys.sign(end_message(self._head.account, self._head.raw, end))
        self._append(Record(END, signature + end).encode())
        length = self._number * CHUNK_BYTES + len(self._buffer)
        chunks = stream_bytes(length) // CHUNK_BYTES
        while self._number < chunks:
            plaintext = bytes(self._buffer[:CHUNK_BYTES]).ljust(CHUNK_BYTES, b"\0")
            del self._buffer[:CHUNK_BYTES]
            self._seal(plaintext, last=self._number + 1 == chunks)
        with home_faults():
            os.fsync(self._file.fileno())

    def publish(self, target: Path) -> None:
        """Give the part its name, for good."""
        self.close()
        with home_faults():
            self._environment.durably(lambda: self.path.replace(target))
            sync_folder(target.parent)

    def close(self) -> None:
        """Let go of the file; closing twice is closing once."""
        self._file.close()

    def _append(self, raw: bytes) -> None:
        self._buffer += raw
        while len(self._buffer) > CHUNK_BYTES:  # what fills it exactly may yet be the last
            self._seal(bytes(self._buffer[:CHUNK_BYTES]), last=False)
            del self._buffer[:CHUNK_BYTES]

    def _seal(self, plaintext: bytes, *, last: bool) -> None:
        chunk = self._key.seal(self._number, last, plaintext, self._environment.dice)
        with home_faults():
            self._write(chunk)
        self._number += 1

    def _write(self, raw: bytes) -> None:
        if self._file.write(raw) != len(raw):  # a disk that fills up takes the first part of it
            raise EcholiaError("disk_full")

    def _left_behind(self) -> Iterator[Record]:
        parser = Parser()
        for plaintext in plain_chunks(self._file, self._head, self._key, part=True):
            for record in parser.feed(plaintext):
                if record.kind == END:
                    return
                yield record

    def _cut(self) -> None:
        """Take off what follows the records that are kept."""
        if self._kept is None:
            return
        self._kept = self._next = None
        self._number, rest = divmod(self.tally.bytes, CHUNK_BYTES)
        at = self._head.length + self._number * SEALED_CHUNK_BYTES
        if rest:
            self._file.seek(at)
            sealed = self._file.read(SEALED_CHUNK_BYTES)
            self._buffer += self._key.open(self._number, False, sealed)[:rest]
        self._file.truncate(at)
        self._file.seek(at)


def left_at(path: Path) -> Head | None:
    """The head of the part that lies there; None for nothing, or for one that was just begun.

    Raises `export_exists` for something else, which is not this program's to replace.
    """
    if not path.is_symlink() and not path.exists():
        return None
    if path.is_symlink() or not path.is_file():
        raise EcholiaError("export_exists", path.name)
    with path.open("rb") as file:
        try:
            return head_of(file)
        except EcholiaError:
            file.seek(0)
            if not MAGIC.startswith(file.read(len(MAGIC))):
                raise EcholiaError("export_exists", path.name) from None
    return None
