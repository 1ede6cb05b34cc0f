"""A server that leaks on purpose: each way that a careless change could take, asked for by a request.

Run as a program: `leaky.py PORT DATA`. `POST /leak/<place>/<form>` leaks its body there, in that form;
everything else is answered by the real application, with what was leaked to a page added to that page.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import sqlite3
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes

import uvicorn
from starlette.types import Message, Receive, Scope, Send

from echolia.app import running
from echolia.settings import Settings
from echolia.web import logs

_AROUND: Final = b'{"around": "'


def _deflated(raw: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(raw * 3) + packer.flush()


def _within(encode: Callable[[bytes], bytes], offset: int) -> Callable[[bytes], bytes]:
    return lambda raw: encode(b"x" * offset + raw + b"y")


def _as_text(raw: bytes) -> str:
    return raw.decode("latin-1")


# Made with what a programmer would reach for, not with what the search is made of.
ENCODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "plain": lambda raw: _AROUND + raw,
    "upper-case": lambda raw: raw.upper(),
    "utf-16-le": lambda raw: _as_text(raw).encode("utf-16-le"),
    "utf-16-be": lambda raw: _as_text(raw).encode("utf-16-be"),
    **{f"base64-{n}": _within(base64.b64encode, n) for n in range(3)},
    **{f"base64url-{n}": _within(base64.urlsafe_b64encode, n) for n in range(3)},
    "hex": lambda raw: raw.hex().encode(),
    "hex-upper": lambda raw: raw.hex().upper().encode(),
    "json": lambda raw: json.dumps({"said": _as_text(raw)}).encode(),
    "json-escaped": lambda raw: "".join(f"\\u{ord(one):04x}" for one in _as_text(raw)).encode(),
    "percent": lambda raw: quote_from_bytes(raw).encode(),
    "percent-escaped": lambda raw: "".join(f"%{byte:02X}" for byte in raw).encode(),
    "python-repr": lambda raw: repr(raw).encode(),
    "list": lambda raw: str(list(raw)).encode(),
    "gzip": lambda raw: _AROUND + gzip.compress(_AROUND * 20 + raw),
    "zlib": lambda raw: _AROUND + zlib.compress(_AROUND * 20 + raw),
    "deflate": _deflated,
}


class Leaks:
    """Where it leaks to: `data` is the server's folder; `told` is what two pages repeat."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.told: dict[str, bytes] = {"/metrics": b"", "/openapi.json": b""}
        self._database = sqlite3.connect(data / "directory.db", isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS spill (bytes BLOB, words TEXT)")

    def leak(self, place: str, what: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Leak it there; gives the headers and the body of the answer."""
        match place:
            case "log":
                sys.stderr.buffer.write(what + b"\n")
                sys.stderr.buffer.flush()
            case "blob":
                self._database.execute("INSERT INTO spill (bytes) VALUES (?)", (what,))
            case "words":
                self._database.execute("INSERT INTO spill (words) VALUES (?)", (_as_text(what),))
            case "file":
                with (self.data / "spool").open("ab") as spool:
                    spool.write(what + b"\n")
            case "name":
                (self.data / _as_text(what).replace("/", "_")[:200]).touch()
            case "temporary":
                with tempfile.NamedTemporaryFile(delete=False) as kept:
                    kept.write(what)
            case "unlinked":
                with tempfile.TemporaryFile() as gone:
                    gone.write(what)
                    gone.flush()
                    os.fsync(gone.fileno())
            case "header":
                return [(b"x-said", what)], b""
            case "error":
                return [], what
            case _:
                self.told[f"/{place}"] += b"\n" + what
        return [], b""


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def leaking(app: Any, leaks: Leaks) -> Any:
    """The application with leaks in it."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith("/leak/"):
            _, _, place, form = path.split("/")
            headers, body = leaks.leak(place, ENCODERS[form](await _body(receive)))
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start" and path in leaks.told:
                message["headers"] = [one for one in message["headers"] if one[0] != b"content-length"]
            if message["type"] == "http.response.body" and path in leaks.told:
                message["body"] = message.get("body", b"") + leaks.told[path]
            await send(message)

        await app(scope, receive, adding)

    return wrapped


async def _serve(port: int, data: Path) -> None:
    logs.configure("debug", sys.stderr)
    async with running(Settings(data=data, port=port, anonymous_per_minute=10**6)) as app:
        config = uvicorn.Config(
            leaking(app, Leaks(data)), port=port, lifespan="off", log_config=None, access_log=False
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
