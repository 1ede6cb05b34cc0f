"""Every form that a canary could take, and the search for all of them at once."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes

from tests.journeys.canary.flock import KINDS, PREFIX_BYTES, Flock

Encoder = Callable[[bytes], bytes]
LONGEST_STREAM_BYTES: Final = 16 << 20


class Hit(NamedTuple):
    """A canary that was found: its kind ("unknown" if cut off), its form, and what surrounds it."""

    kind: str
    form: str
    offset: int
    around: bytes


def _escaped(pattern: str) -> Encoder:
    return lambda raw: "".join(pattern.format(byte) for byte in raw).encode()


def _utf_16(order: str) -> Encoder:
    return lambda raw: raw.decode("latin-1").encode(f"utf-16-{order}")


def _base64(encode: Encoder, offset: int) -> Encoder:
    def encoder(raw: bytes) -> bytes:
        """The characters that are the same whatever stands before and after."""
        start, end = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        return encode(bytes(offset) + raw + bytes(3))[start:end]

    return encoder


# What JSON, URLs and Python leave alone is met as "plain" in escaped text; the "escaped" forms are those of a
# writer who escapes everything.
FORMS: Final[dict[str, Encoder]] = {
    "plain": lambda raw: raw,
    "utf-16-le": _utf_16("le"),
    "utf-16-be": _utf_16("be"),
    **{f"base64-{offset}": _base64(base64.standard_b64encode, offset) for offset in range(3)},
    **{f"base64url-{offset}": _base64(base64.urlsafe_b64encode, offset) for offset in range(3)},
    "hex": lambda raw: raw.hex().encode(),
    "hex-upper": lambda raw: raw.hex().upper().encode(),
    "json-escaped": _escaped("\\u{:04x}"),
    "json-escaped-upper": _escaped("\\u{:04X}"),
    "percent-escaped": _escaped("%{:02x}"),
    "percent-escaped-upper": _escaped("%{:02X}"),
    "python-escaped": _escaped("\\x{:02x}"),
    "octal-escaped": _escaped("\\{:03o}"),
    "latin-1-as-utf-8": lambda raw: raw.decode("latin-1").encode(),
    # Secrets are bytes of any value: encoders write some as they are and escape the others.
    "python-repr": lambda raw: repr(raw)[2:-1].encode(),
    "json-mixed": lambda raw: json.dumps(raw.decode("latin-1"))[1:-1].encode(),
    "percent-mixed": lambda raw: quote_from_bytes(raw).encode(),
    "decimal-list": lambda raw: ", ".join(str(byte) for byte in raw).encode(),
    "decimal-list-dense": lambda raw: ",".join(str(byte) for byte in raw).encode(),
}


class Searcher:
    """Finds a flock's canaries in any bytes: each form of the two prefixes, in compressed streams too.

    `values` are further bytes to find, by the kind to report: secrets that nobody could choose. Half of one
    is found too.
    """

    def __init__(self, flock: Flock, values: Mapping[str, bytes] | None = None) -> None:
        self._needles: dict[bytes, tuple[str, bytes, str]] = {}
        address = str(flock.address).encode()
        wanted = [("", flock.text_prefix), ("", flock.binary_prefix), ("address", flock.address.packed)]
        wanted += [("address", part) for part in _halves(address)]
        wanted += [(kind, part) for kind, value in (values or {}).items() for part in _halves(value)]
        for kind, value in wanted:
            assert len(value) >= PREFIX_BYTES
            for form, encode in FORMS.items():
                self._needles.setdefault(encode(value), (form, value, kind))
        self._lower = flock.text_prefix

    def hits(self, data: bytes, streams: bool = True) -> Iterator[Hit]:
        """Every canary in the data; `streams` also unpacks what looks compressed."""
        for needle, (form, value, kind) in self._needles.items():
            for offset in _offsets(data, needle):
                yield Hit(kind or _kind(data, offset, form, value), form, offset, _around(data, offset))
        # Header names and the like change their case on their way: that is a find as well.
        lower = data.lower()
        for offset in _offsets(lower, self._lower):
            if not data.startswith(self._lower, offset):
                yield Hit("text", "other-case", offset, _around(data, offset))
        if streams:
            for form, unpacked in compressed(data):
                yield from (hit._replace(form=f"{form}:{hit.form}") for hit in self.hits(unpacked, False))


def _halves(value: bytes) -> tuple[bytes, ...]:
    middle = len(value) // 2
    return (value[:middle], value[middle:]) if middle >= PREFIX_BYTES else (value,)


def _around(data: bytes, offset: int) -> bytes:
    return data[max(0, offset - 40) : offset + 60]


def _offsets(data: bytes, needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + len(needle))


def _kind(data: bytes, offset: int, form: str, prefix: bytes) -> str:
    for name, kind in KINDS.items():
        if data.startswith(FORMS[form](prefix + kind), offset):
            return name
    return "unknown"


_GZIP: Final = re.compile(rb"\x1f\x8b\x08")
_LINE: Final = re.compile(rb"\n")
_ZLIB: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]")


def compressed(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What unpacks: gzip and zlib streams wherever one begins, raw deflate where a line begins."""
    view = memoryview(data)
    for found in _GZIP.finditer(data):
        yield from _unpacked("gzip", view[found.start() :], zlib.MAX_WBITS | 16)
    for found in _ZLIB.finditer(data):
        yield from _unpacked("zlib", view[found.start() :], zlib.MAX_WBITS)
    for start in (0, *(found.end() for found in _LINE.finditer(data))):
        yield from _unpacked("deflate", view[start:], -zlib.MAX_WBITS)


def _unpacked(form: str, data: memoryview, window: int) -> Iterator[tuple[str, bytes]]:
    unpacker = zlib.decompressobj(window)
    unpacked = b""
    try:
        # In small steps: a stream that is cut off or followed by something else still gives what it held.
        for at in range(0, len(data), 4096):
            unpacked += unpacker.decompress(data[at : at + 4096])
            if unpacker.eof or len(unpacked) > LONGEST_STREAM_BYTES:
                break
    except zlib.error:
        pass
    if unpacked:
        yield form, unpacked
