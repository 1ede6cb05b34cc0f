"""An export's stream: records, in order, with an end that proves there are no others (`spec/export.md`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from struct import Struct
from typing import Any, Final, NamedTuple

from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES
from echolia.core.padding import padme
from echolia.core.positions import LogPosition
from echolia.core.push import Item

LOG, KEYS, OBJECT, ATTACHMENT, EVIDENCE, RUN, END = range(1, 8)
NAMES: Final = ("log", "keys", "object", "attachment", "evidence", "run")
CHUNK_BYTES: Final = 16_384
MAX_RECORD_BYTES: Final = 64 << 20
_HEAD: Final = Struct(">BI")
_ITEM: Final = Struct(">QQB")
_MOST: Final = {KEYS: 1, EVIDENCE: 1, END: 1}


class Record(NamedTuple):
    """One record: its kind and content."""

    kind: int
    content: bytes

    def encode(self) -> bytes:
        """Its bytes in the stream."""
        return _HEAD.pack(self.kind, len(self.content)) + self.content


class End(NamedTuple):
    """What the last record says of those before it; `position` is where the evidence ends, if there is any.

    `device` (16 bytes) is who wrote the file, and signs this.
    """

    counts: Mapping[str, int]
    position: LogPosition | None
    hash: bytes
    device: bytes

    def encode(self) -> bytes:
        """The bytes that are signed, as `end_message` has them."""
        position = None if self.position is None else list(self.position)
        fields = {"counts": dict(self.counts), "position": position, "hash": self.hash, "device": self.device}
        return canonical.encode(fields)


def end_message(account: bytes, head: bytes, end: bytes) -> bytes:
    """What the device that writes an export signs: its head, and its end."""
    return b"echolia/1/export-end" + account + sha256(head).digest() + end


class Tally:
    """Counts and hashes records as they are written or read, and refuses what may not follow."""

    def __init__(self) -> None:
        self.bytes, self._last = 0, LOG
        self._counts = dict.fromkeys(range(LOG, END), 0)
        self._digest = sha256()

    @property
    def counts(self) -> dict[str, int]:
        """How many records of each kind there were."""
        return {name: self._counts[kind] for kind, name in enumerate(NAMES, LOG)}

    def add(self, record: Record) -> None:
        """One more record (not the end); raises `export_invalid` where it may not stand."""
        counts, kind = self._counts, record.kind
        before = {OBJECT: KEYS, KEYS: LOG, ATTACHMENT: KEYS, EVIDENCE: KEYS, RUN: EVIDENCE}.get(kind)
        if kind < self._last or counts[kind] >= _MOST.get(kind, 2**32) or (before and not counts[before]):
            raise invalid("a record stands where it may not")
        self._last = kind
        counts[kind] += 1
        raw = record.encode()
        self.bytes += len(raw)
        self._digest.update(raw)

    def end(self, position: LogPosition | None, device: bytes) -> End:
        """The end of what was added."""
        return End(self.counts, position, self._digest.digest(), device)

    def check(self, content: bytes) -> End:
        """The end that was read (its signature aside), if it is that of what was added.

        Raises `export_invalid`.
        """
        fields = expect_map(content, {"counts", "position", "hash", "device"})
        position, device = fields["position"], fields["device"]
        if type(device) is not bytes or len(device) != ID_BYTES:
            raise invalid("it does not say who wrote it")
        end = self.end(None if position is None else _position(position), device)
        if end.encode() != content or not end.counts["keys"]:
            raise invalid("what is inside is not what its end says")
        return end


def stream_bytes(length: int) -> int:
    """How long the stream of records of this length is made: whole chunks, at most an eighth more."""
    return -(-padme(length) // CHUNK_BYTES) * CHUNK_BYTES


class Parser:
    """Cuts a stream into records, chunk by chunk; `left` is what no record has been found in yet."""

    def __init__(self) -> None:
        self.left = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Record]:
        """The records that end in this chunk; raises `export_invalid` or `unsupported_version`."""
        self.left += chunk
        at = 0
        while len(self.left) - at >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self.left, at)
            if not LOG <= kind <= END:
                raise EcholiaError("unsupported_version", "a record of a kind that is not known here")
            if length > MAX_RECORD_BYTES:
                raise invalid("a record is too long")
            end = at + _HEAD.size + length
            if end > len(self.left):
                break
            record = Record(kind, bytes(self.left[at + _HEAD.size : end]))
            at = end
            if kind == END:
                del self.left[:at]
                yield record
                return
            yield record
        del self.left[:at]


def pack_item(item: Item) -> bytes:
    """A served run as a record's content."""
    return _ITEM.pack(item.seq, item.received_ms, item.form) + item.content


def unpack_item(content: bytes) -> Item:
    """The served run in a record; its form is for the verifier to judge. Raises `export_invalid`."""
    if len(content) < _ITEM.size:
        raise invalid("a run is cut short")
    seq, received_ms, form = _ITEM.unpack_from(content)
    if form > 2 or max(seq, received_ms) >= 2**53:
        raise invalid("a run is out of range")
    return Item(seq, received_ms, form, content[_ITEM.size :])


def expect_map(content: bytes, keys: set[str]) -> dict[str, Any]:
    """The CBOR map in a record, with exactly these keys; raises `export_invalid`."""
    try:
        fields = canonical.decode(content)
    except ValueError:
        raise invalid("a record is not deterministic CBOR") from None
    if not isinstance(fields, dict) or set(fields) != keys:
        raise invalid("a record has other keys")
    return fields


def _position(value: Any) -> LogPosition:
    if not isinstance(value, list) or len(value) != 3:
        raise invalid("a position has another form")
    epoch, seq, log = value
    if type(epoch) is not int or type(seq) is not int or type(log) is not bytes or len(log) != 32:
        raise invalid("a position has another form")
    return LogPosition(epoch, seq, log)


def invalid(why: str) -> EcholiaError:
    """The refusal of a file."""
    return EcholiaError("export_invalid", why)
