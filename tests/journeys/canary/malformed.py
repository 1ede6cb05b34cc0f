"""Requests that are no proper HTTP, or end early: canaries where only the parser sees them."""

from __future__ import annotations

import json
from typing import Final

from tests.journeys.canary.flock import SECRET, UNKEPT, Flock
from tests.journeys.canary.wire import Wire

_PATHS: Final = ("/auth/register", "/sync/push", "/sync/pull", "/llm/stream")


def send_malformed(wire: Wire, token: str) -> None:
    """Send them all; whatever comes back is kept for the search."""
    for sent in _lines(wire.flock):
        wire.raw(sent, end=False)
    for path in _PATHS:
        for sent in _whole(wire.flock, path, token):
            wire.raw(sent, end=False)
        for sent in _cut_short(wire.flock, path, token):
            wire.raw(sent)


def _lines(flock: Flock) -> list[bytes]:
    word, text = flock.word("request line").encode(), flock.text("request line").encode()
    host = b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return [
        word + b" / HTTP/1.1" + host,
        word.upper() + b" /health HTTP/1.1" + host,
        b"GET /" + text + b" HTTP/1.1" + host,
        b"GET /health?" + text.replace(b" ", b"+") + b" HTTP/1.1" + host,
        b"GET http://" + word + b"/health HTTP/1.1" + host,
        b"GET /health HTTP/" + word + host,
        b"GET /health HTTP/1.1\r\n" + text + host,
        b"GET /health HTTP/1.1\r\n" + word + b" : " + word + host,
        b"GET /health HTTP/1.1\r\n" + word + b": \x00" + word + host,
        b"GET /health HTTP/1.1\r\nUpgrade: " + word + b"\r\nConnection: Upgrade" + host,
        b"GET /health HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
        + word
        + host,
        b"CONNECT " + word + b":443 HTTP/1.1" + host,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + text,
        b"\x16\x03\x01" + text,
        b"GET /health HTTP/1.1\r\nCookie: " + word * 9000 + host,
        b"GET /" + word * 9000 + b" HTTP/1.1" + host,
        text,
    ]


def _head(flock: Flock, path: str, token: str) -> tuple[bytes, bytes]:
    """The start of a request, and part of a body."""
    label = f"{path} malformed"
    part = json.dumps({flock.text(label): flock.text(label, SECRET)}).encode() + flock.raw(label, UNKEPT, 64)
    head = b"POST " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Connection: close\r\nAuthorization: Bearer " + token.encode() + b"\r\n", part


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


def _cut_short(flock: Flock, path: str, token: str) -> list[bytes]:
    """Bodies that end before they said they would."""
    head, part = _head(flock, path, token)
    return [
        head + b"Content-Length: %d\r\n\r\n" % (len(part) + 500) + part,
        head + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(part),
        head[:-10],
        head + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(part)[:-20],
    ]


def _whole(flock: Flock, path: str, token: str) -> list[bytes]:
    """Bodies that are too long, or whose framing the parser refuses."""
    word = flock.word(path).encode()
    head, part = _head(flock, path, token)
    return [
        head + b"Content-Length: 999999999999\r\n\r\n" + part,
        head + b"Content-Length: " + word + b"\r\n\r\n" + part,
        head + b"Content-Length: 5\r\nContent-Length: 50\r\n\r\n" + part,
        head + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(part) + word + b"\r\n" + part,
        head + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(part) * 800 + b"0\r\n\r\n",
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + _chunk(part)
        + b"0\r\n"
        + word
        + b": "
        + word
        + b"\r\n\r\n",
        head + b"Transfer-Encoding: " + word + b"\r\n\r\n" + part,
        head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(part) + part,
    ]
