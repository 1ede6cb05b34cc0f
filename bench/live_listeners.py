"""How much memory an idle live listener takes on the server; a markdown table."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import sys
import tempfile
from pathlib import Path

from peer_echolia import BIN, MANY, UNLIMITED, Echolia
from probes import Conn, PeerError, end, free_port, spawn, wait_port

from echolia.core.ids import b64, unb64
from echolia.core.messages import login_message

PROMISED_KIB = 16
SIGNING_IN = {f"ECHOLIA_{name}_PER_MINUTE": MANY for name in ("CHALLENGE", "TOKEN")}
SIGNING_IN["ECHOLIA_REGISTER_FREE_PER_MINUTE"] = "1000000"
# Open databases are a cache of a fixed size, filled before anything is measured.
SETTINGS = {**UNLIMITED, **SIGNING_IN, "ECHOLIA_OPEN_DATABASES": "64"}
JSON = [("Content-Type", "application/json")]
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
PING, PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"
ROUND_S = 35  # two heartbeats or pings each
# What says that a stream is open: its first event, as it comes on the wire.
KINDS = {"server-sent events": ("", b"\n\n\r\n"), "WebSocket": (UPGRADE, b'"seq": 0}')}


def memory_kib(process):
    """(resident, proportional) memory of the server process."""
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    found = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return found["Rss:"], found["Pss:"]


async def account(peer, conn):
    """A new account whose database has been opened once; its device."""
    device = await peer.user(conn, 0)
    await conn.ok("GET", "/sync/status", headers=device.headers)
    return device


async def token(conn, device):
    """An access token that the server has not seen yet."""
    told = {"device": b64(device.id)}
    _, body = await conn.ok("POST", "/auth/challenge", json.dumps(told).encode(), JSON)
    challenge = json.loads(body)["challenge"]
    signature = device.keys.sign(login_message(device.id, unb64(challenge)))
    signed = {**told, "challenge": challenge, "signature": b64(signature)}
    _, body = await conn.ok("POST", "/auth/token", json.dumps(signed).encode(), JSON)
    return json.loads(body)["access"]


class Listener(asyncio.Protocol):
    """One open stream that takes what comes and answers pings."""

    def __init__(self, begun):
        self.begun, self.came, self.open = begun, b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if not self.open.done():
            self.came += data
            if self.came.endswith(self.begun):
                self.open.set_result(None)
        elif data == PING:
            self.transport.write(PONG)

    def connection_lost(self, exc):
        if not self.open.done():
            self.open.set_exception(PeerError(f"refused: {self.came[:200]!r}"))


async def listen(port, access, kind):
    """One open stream."""
    upgrade, begun = KINDS[kind]
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_connection(lambda: Listener(begun), "127.0.0.1", port)
    head = f"GET /sync/live HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {access}\r\n{upgrade}\r\n"
    transport.write(head.encode())
    await asyncio.wait_for(listener.open, 30)
    return transport


async def streams(conn):
    """How many streams the server says are open."""
    _, body = await conn.ok("GET", "/metrics")
    line = next(line for line in body.decode().splitlines() if line.startswith("echolia_live_streams "))
    return float(line.split()[1])


async def until(conn, count):
    """Wait until so many streams are open."""
    while await streams(conn) != count:  # noqa: ASYNC110  # the server tells nobody
        await asyncio.sleep(0.05)


async def measured(data, count, kind):
    """The table's row: so many accounts, each with one listener of its own token."""
    d, port = Path(tempfile.mkdtemp(dir=data)), free_port()
    argv = [BIN / "echolia", "serve", "--port", port, "--data", d / "server"]
    server = spawn(argv, d, d / "server.log", SETTINGS)
    try:
        await wait_port(port, server)
        conn, peer = Conn(port), Echolia()
        devices = [await account(peer, conn) for _ in range(count)]
        tokens = [await token(conn, device) for device in devices]
        for _ in range(5):  # so that code and buffers are there
            access = devices[0].headers[0][1].split()[1]
            for transport in [await listen(port, access, kind) for _ in range(30)]:
                transport.close()
            await until(conn, 0)
        before = memory_kib(server)
        transports = [await listen(port, access, kind) for access in tokens]
        await until(conn, count)
        await asyncio.sleep(ROUND_S)
        await until(conn, count)
        after = memory_kib(server)
        resident, proportional = ((b - a) / count for a, b in zip(before, after, strict=True))
        print(
            f"| {kind} | {count:,} | {before[0] / 1024:.0f} | {resident:.1f} | {proportional:.1f} |",
            flush=True,
        )
        for transport in transports:
            transport.close()
    finally:
        end(server)
        shutil.rmtree(d, ignore_errors=True)
    return resident


def main():
    """Measure both kinds."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()))
    p.add_argument("--listeners", type=int, default=2000)
    args = p.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("| idle listeners by | how many | server before, MiB | RSS KiB each | PSS KiB each |")
    print("|---|---|---|---|---|", flush=True)
    for kind in KINDS:
        each_kib = asyncio.run(measured(args.data, args.listeners, kind))
        if each_kib > PROMISED_KIB:
            sys.exit(f"more than {PROMISED_KIB} KiB each")


if __name__ == "__main__":
    main()
