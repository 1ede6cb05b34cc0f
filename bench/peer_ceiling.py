"""ceiling_server.py under uvicorn: how fast the same stack can be with nothing else in it."""

import sys
from pathlib import Path

import msgspec
from probes import free_port, spawn, wait_port
from workload import HERE, Peer

BIN = Path(sys.executable).parent


class Entry(msgspec.Struct, array_like=True):
    id: str
    data: bytes


class Page(msgspec.Struct):
    seq: int
    items: list[Entry]


class Ceiling(Peer):
    name = "ceiling (raw ASGI, JSON)"
    batch = 500
    codec, threads, app = "json", 0, "ceiling_server:app"
    durable = "yes: SQLite WAL, synchronous=FULL, one transaction a push"

    async def start(self, d):
        self.dir, self.port = d / "data", free_port()
        self.dir.mkdir()
        env = {"CEIL_DIR": str(self.dir), "CEIL_CODEC": self.codec, "CEIL_THREADS": str(self.threads)}
        argv = [BIN / "uvicorn", self.app, "--host", "127.0.0.1", "--port", self.port]
        argv += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
        self.procs.append(spawn(argv, HERE, d / "server.log", env))
        await wait_port(self.port, self.procs[-1])
        self.wire = getattr(msgspec, self.codec)
        self.unpack = self.wire.Decoder(Page).decode

    async def user(self, conn, i):
        await conn.ok("GET", f"/u{i}")
        return f"/u{i}"

    def encode(self, user, recs):
        return self.wire.encode([Entry(*r) for r in recs])

    async def push(self, conn, user, req):
        await conn.ok("POST", user, req, [("Content-Type", "application/json")])

    async def pull(self, conn, user, cursor):
        items, cursor = [], cursor or 0
        while True:
            _, data = await conn.ok("GET", f"{user}?{cursor}")
            page = self.unpack(data)
            items += page.items
            cursor = page.seq
            if len(page.items) < 1000:
                return items, cursor

    def decode(self, item):
        return item.id, item.data


class CeilingMsgpack(Ceiling):
    name = "ceiling (raw ASGI, msgpack)"
    codec = "msgpack"


class CeilingThreads(CeilingMsgpack):
    name = "ceiling (msgpack, 8 commit threads)"
    threads = 8


PEERS = [Ceiling, CeilingMsgpack, CeilingThreads]
