"""Unix sockets in a folder of this user's alone, however long its path is."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from echolia.workers.channel import Hearing, Peer, PlainStream

SUPERVISOR: Final = "supervisor.sock"
# The kernel takes 107 bytes; some systems fewer.
_LONGEST: Final = 100


async def listen(folder: Path, name: str, hearing: Hearing) -> asyncio.Server:
    """Answer what is asked at the socket `name`; close the server, then the hearing. Raises: OSError."""
    listener = _bound(folder, name)

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hearing.hear(PlainStream(reader, writer))

    return await asyncio.start_unix_server(hear, sock=listener)


def names_of(folder: Path) -> list[str]:
    """The sockets of the server's processes in the folder; a killed one leaves its own behind."""
    return sorted(path.name for path in folder.glob("*.sock") if path.name != SUPERVISOR)


def clear(folder: Path) -> None:
    """Remove what processes that were killed left; only while none runs."""
    for path in (*folder.glob("*.sock"), *folder.glob("*.lock")):
        path.unlink(missing_ok=True)


def _bound(folder: Path, name: str) -> socket.socket:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _short(folder, name) as path:
        listener.bind(path)
    (folder / name).chmod(0o600)
    return listener


async def connect(folder: Path, name: str) -> Peer:
    """Whoever listens there. Raises: OSError."""
    with _short(folder, name) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    return Peer(PlainStream(reader, writer))


@contextmanager
def _short(folder: Path, name: str) -> Iterator[str]:
    """A path to it that the kernel takes."""
    path = str(folder / name)
    if len(os.fsencode(path)) <= _LONGEST:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
