"""A WebSocket client that says exactly the bytes it is told to, on a real socket."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from struct import unpack
from typing import NamedTuple

ANSWER_S = 20.0
KEY = base64.b64encode(bytes(range(16))).decode()
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
HANDSHAKE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


class Frame(NamedTuple):
    """A frame that the server sent; opcode 0 stands for the end of the connection."""

    opcode: int
    payload: bytes = b""

    @property
    def close_code(self) -> int:
        """The code of a close frame."""
        assert self.opcode == CLOSE, self
        return int(unpack(">H", self.payload[:2])[0])


def masked(opcode: int, payload: bytes = b"", *, final: bool = True, mask: bytes = b"\1\2\3\4") -> bytes:
    """A frame as clients send them."""
    assert len(payload) < 126
    covered = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return bytes(((0x80 if final else 0) | opcode, 0x80 | len(payload))) + mask + covered


class Peer:
    """One connection; `status` and `headers` (lower-case names) are the handshake's answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    async def ask(self, target: str, headers: Mapping[str, str]) -> None:
        """Send the handshake and read its answer."""
        named = {**HANDSHAKE, **headers}
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items() if value)]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), ANSWER_S)
        status, *told = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in told if line)
        }
        if self.status != 101:
            self.body = await asyncio.wait_for(self._reader.read(), ANSWER_S)

    def send(self, data: bytes) -> None:
        """Say these bytes."""
        self._writer.write(data)

    async def frame(self) -> Frame:
        """The next frame."""
        async with asyncio.timeout(ANSWER_S):
            try:
                first, size = await self._reader.readexactly(2)
                return Frame(first & 0x0F, await self._reader.readexactly(size))
            except (asyncio.IncompleteReadError, ConnectionError):
                return Frame(0)


@asynccontextmanager
async def connected(port: int, target: str = "/", **headers: str) -> AsyncIterator[Peer]:
    """A handshake at that address. `headers` (underscores are dashes) win over the usual; "" is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer = Peer(reader, writer)
    try:
        await peer.ask(target, {name.replace("_", "-"): value for name, value in headers.items()})
        yield peer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
