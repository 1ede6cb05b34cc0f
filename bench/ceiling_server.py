"""The least a Python sync server can do and still be one: bare ASGI, one SQLite file a user, and an
acknowledgement only after the commit is on disk (WAL, synchronous=FULL).  No accounts, no checks, no pages of
its own design: it marks what the stack allows, not what to build.

CEIL_DIR holds the databases, CEIL_CODEC is json (base64 ciphertext) or msgpack, CEIL_THREADS > 0 commits in
that many threads instead of on the event loop.
"""

import asyncio
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec

DIR = os.environ["CEIL_DIR"]
SYNC = os.environ.get("CEIL_SYNC", "FULL")
THREADS = int(os.environ.get("CEIL_THREADS", "0"))
codec = msgspec.json if os.environ.get("CEIL_CODEC", "json") == "json" else msgspec.msgpack
PAGE = 1000


class Entry(msgspec.Struct, array_like=True):
    id: str
    data: bytes  # msgspec reads and writes base64 in JSON, raw bytes in msgpack


class Page(msgspec.Struct):
    seq: int
    items: list[Entry]


decode = codec.Decoder(list[Entry]).decode
encode = codec.Encoder().encode
pool = ThreadPoolExecutor(THREADS) if THREADS else None
stores: dict[str, tuple[sqlite3.Connection, threading.Lock]] = {}


def store(user):
    if user not in stores:
        db = sqlite3.connect(
            f"{DIR}/{user}.db", isolation_level=None, check_same_thread=False, cached_statements=8
        )
        db.execute("PRAGMA busy_timeout=5000")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={SYNC}")
        db.execute("CREATE TABLE IF NOT EXISTS e(seq INTEGER PRIMARY KEY, id TEXT UNIQUE, data BLOB)")
        stores[user] = db, threading.Lock()
    return stores[user]


def push(user, body):
    recs = decode(body)
    db, lock = store(user)
    with lock:
        db.execute("BEGIN IMMEDIATE")
        cur = db.executemany(
            "INSERT OR REPLACE INTO e(id, data) VALUES (?, ?)", [(r.id, r.data) for r in recs]
        )
        db.execute("COMMIT")
    return b"%d" % cur.rowcount


def pull(user, since):
    db, lock = store(user)
    with lock:
        rows = db.execute(
            "SELECT seq, id, data FROM e WHERE seq > ? ORDER BY seq LIMIT ?", (since, PAGE)
        ).fetchall()
    return encode(Page(rows[-1][0] if rows else since, [Entry(r[1], r[2]) for r in rows]))


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    user = scope["path"][1:]
    if scope["method"] == "POST":
        parts = []
        while True:
            m = await receive()
            parts.append(m.get("body", b""))
            if not m.get("more_body"):
                break
        work = push, user, parts[0] if len(parts) == 1 else b"".join(parts)
    else:
        work = pull, user, int(scope["query_string"] or 0)
    out = await asyncio.get_running_loop().run_in_executor(pool, *work) if pool else work[0](*work[1:])
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(out))]}
    )
    await send({"type": "http.response.body", "body": out})
