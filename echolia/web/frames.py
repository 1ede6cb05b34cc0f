"""The frames of a WebSocket whose client only listens (RFC 6455, 5): ours written, the client's few read."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from hashlib import sha1
from struct import pack
from typing import Final, NamedTuple

CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_TEXT: Final = 0x1
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_DATA: Final = (0x0, 0x1, 0x2)
_MOST_BYTES: Final = 125
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

PROTOCOL_ERROR: Final = 1002
NOT_ASKED: Final = 1008


class Control(NamedTuple):
    """A control frame of the client: `CLOSE`, `PING` or `PONG`, and its payload (at most 125 bytes)."""

    opcode: int
    payload: bytes


class Unwelcome(Exception):
    """The client sent what is not taken; `code` closes the connection."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def accept_key(key: bytes) -> bytes:
    """The answer to a client's `Sec-WebSocket-Key`."""
    return base64.b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def is_key(key: bytes) -> bool:
    """Whether this is a `Sec-WebSocket-Key`: 16 bytes in base64."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


def text(message: str) -> bytes:
    """A text message in one frame."""
    return _frame(_TEXT, message.encode())


def control(opcode: int, payload: bytes = b"") -> bytes:
    """A control frame."""
    return _frame(opcode, payload)


def close(code: int, reason: str = "") -> bytes:
    """A close frame."""
    return _frame(CLOSE, pack(">H", code) + reason.encode()[: _MOST_BYTES - 2])


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= _MOST_BYTES:
        return bytes((_FINAL | opcode, size)) + payload
    return pack(">BBH", _FINAL | opcode, 126, size) + payload


class Reader:
    """Cuts what arrives into control frames; keeps less than one frame."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Control]:
        """The frames that are complete now; raises `Unwelcome` at the first that is not taken."""
        data, self._rest = self._rest + data, b""
        at = 0
        while at + 2 <= len(data):
            size = _checked(data[at], data[at + 1])
            start, end = at + 6, at + 6 + size
            if end > len(data):
                break
            mask = data[at + 2 : start] * (size // 4 + 1)
            payload = bytes(a ^ b for a, b in zip(data[start:end], mask, strict=False))
            yield Control(data[at] & 0x0F, payload)
            at = end
        self._rest = data[at:]


def _checked(first: int, second: int) -> int:
    """The payload's length; a message is refused by its first bytes, however long it would be."""
    opcode, size = first & 0x0F, second & 0x7F
    if first & 0x70 or not second & _MASKED:
        raise Unwelcome(PROTOCOL_ERROR)
    if opcode in _DATA:
        raise Unwelcome(NOT_ASKED)
    if opcode not in (CLOSE, PING, PONG) or not first & _FINAL or size > _MOST_BYTES:
        raise Unwelcome(PROTOCOL_ERROR)
    return size
