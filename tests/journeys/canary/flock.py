"""Canaries: texts and bytes that occur nowhere else, each of a kind that says where it may be met."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final

from echolia.core.ids import b64

ALPHABET: Final = string.ascii_lowercase + string.digits
# Kinds of canaries, by the two bytes that follow the run's prefix. Nobody may keep or repeat a `TEXT`, a
# `SECRET` or an `UNKEPT`; what may become of the others is said in `promises.py`.
TEXT: Final = b"tt"  # readable words: titles, names, paths, queries, headers
NAME: Final = b"nn"  # a file's name, a folder's, a device's home
SECRET: Final = b"ss"  # credentials: tokens, refresh tokens, signatures, solutions
UNKEPT: Final = b"uu"  # bytes of the right length in a request that is refused
BODY: Final = b"bb"  # a sealed body, object, stream or seen hash within a frame that is stored
MESSAGE: Final = b"mm"  # a mailbox message
BOX: Final = b"kk"  # a sealed key box
DEVICE: Final = b"dd"  # a device id that somebody asks a challenge for, or pushes a run of
HASH: Final = b"hh"  # the hash of a mailbox's token
ACK: Final = b"aa"  # the device log's head within an acknowledgement
ENTRY: Final = b"ee"  # bytes within a device log entry
KINDS: Final = {
    "text": TEXT, "name": NAME, "secret": SECRET, "unkept": UNKEPT, "body": BODY, "message": MESSAGE,
    "box": BOX, "device": DEVICE, "hash": HASH, "ack": ACK, "entry": ENTRY,
}  # fmt: skip
PREFIX_BYTES: Final = 10
# What JSON, URLs, HTML and shells escape; the part before it is searched, whatever became of this.
TAIL: Final = ' ü"/\\&<é'


def _binary_prefix() -> bytes:
    # So many ones make base64 use the characters in which its two alphabets differ; no byte is a character
    # that some writer leaves unescaped.
    middle = bytes(128 + secrets.randbelow(128) for _ in range(PREFIX_BYTES - 5))
    return b"\xff\xfb\xbf" + middle + b"\xef\xfe"


@dataclass
class Flock:
    """The canaries of one run: all texts begin alike, all bytes begin alike, fresh in every run."""

    text_prefix: bytes = field(
        default_factory=lambda: "".join(secrets.choice(ALPHABET) for _ in range(PREFIX_BYTES)).encode()
    )
    binary_prefix: bytes = field(default_factory=_binary_prefix)
    # The client's, as a trusted proxy tells it: nobody may write down where a request came from.
    address: IPv6Address = field(
        default_factory=lambda: IPv6Address(b"\xfd" + bytes(17 + secrets.randbelow(239) for _ in range(15)))
    )
    labels: list[str] = field(default_factory=list)

    def word(self, label: str, kind: bytes = TEXT) -> str:
        """A canary of letters and digits alone, for where nothing else is taken."""
        self.labels.append(label)
        return f"{self.text_prefix.decode()}{kind.decode()}{len(self.labels) - 1:05d}"

    def text(self, label: str, kind: bytes = TEXT) -> str:
        """A canary with characters that encoders escape."""
        return self.word(label, kind) + TAIL

    def raw(self, label: str, kind: bytes, length: int) -> bytes:
        """A canary of so many bytes (16 at least), filled with random ones."""
        self.labels.append(label)
        stem = self.binary_prefix + kind + (len(self.labels) - 1).to_bytes(4, "big")
        assert length >= len(stem)
        return stem + secrets.token_bytes(length - len(stem))

    def coded(self, label: str, kind: bytes, length: int) -> str:
        """The same as JSON carries bytes."""
        return b64(self.raw(label, kind, length))
