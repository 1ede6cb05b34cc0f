"""Builders of runs: devices that write changes with random bodies, which is all a blind server sees."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nacl.bindings import crypto_sign_seed_keypair
from nacl.signing import SigningKey

from echolia.core import runs
from echolia.core.ids import device_id
from echolia.core.positions import NOTHING_SEEN, LogPosition
from echolia.core.runs import RunHeader


@dataclass
class Writer:
    """A device with keys from a seed; `changes` are its changes' bytes, counter 1 first."""

    account: bytes
    seed: int = 1
    changes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.secret = self.dice.randbytes(32)
        self.public = crypto_sign_seed_keypair(self.secret)[0]
        self.box = self.dice.randbytes(32)
        self.device = device_id(self.public, self.box)

    def write(self, count: int = 1, body_bytes: int = 256, context: dict[bytes, int] | None = None) -> None:
        """Write some changes with random bodies to random objects of one stream."""
        for _ in range(count):
            self.change(self.dice.randbytes(16), b"s" * 16, body_bytes, context)

    def change(
        self,
        object_: bytes,
        stream: bytes,
        body_bytes: int = 256,
        context: Mapping[bytes, int] | None = None,
        kind: int = runs.STATE,
    ) -> None:
        """Write one change."""
        header = runs.change_header(kind, 1, object_, stream, dict(context or {}), body_bytes)
        self.changes.append(header + self.dice.randbytes(body_bytes))

    def chain(self, counter: int) -> bytes:
        """The chain hash after the change `counter`."""
        start = runs.chain_start(self.account, self.device)
        ends, at = [], 0
        for change in self.changes[:counter]:
            at += len(change)
            ends.append(runs.RUN_HEADER_BYTES + at)
        frame = bytes(runs.RUN_HEADER_BYTES) + b"".join(self.changes[:counter])
        return runs.fold(start, runs.leaves(frame, ends))

    def run(self, first: int = 1, last: int | None = None, seen: LogPosition = NOTHING_SEEN) -> bytes:
        """The signed frame of the changes `first` to `last` (default: the newest)."""
        last = len(self.changes) if last is None else last
        header = RunHeader(
            runs.SUITE, self.device, first, last - first + 1, self.chain(first - 1), seen, signature=bytes(64)
        )
        message = header.message(self.account, self.chain(last))
        signed = header._replace(signature=SigningKey(self.secret).sign(message).signature)
        return signed.pack() + b"".join(self.changes[first - 1 : last])


def keys_of(writers: Sequence[Writer]) -> dict[bytes, bytes]:
    """The device log in short, as the server has it."""
    return {writer.device: writer.public for writer in writers}
