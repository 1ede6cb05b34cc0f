"""What a live process holds in its memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.journeys.canary.places import Place

_LINE: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)")
_PIECE: Final = 64 << 20
# Makes a process collect its garbage when it is told to; for the name see Python's `site`.
COLLECTING: Final = (
    "import gc, signal\n"
    "def _collect(*_):\n"
    "    for _ in range(3):\n"
    "        gc.collect()\n"
    "signal.signal(signal.SIGUSR1, _collect)\n"
)


def memory_of(process: int) -> Iterator[Place]:
    """Every writable part of its memory. Raises: PermissionError, for nobody but the administrator may."""
    maps = Path(f"/proc/{process}/maps").read_text()
    with Path(f"/proc/{process}/mem").open("rb", 0) as memory:
        for line in maps.splitlines():
            found = _LINE.fullmatch(line)
            if found is None or "rw" not in found[3] or found[4] in ("[vvar]", "[vsyscall]"):
                continue
            at, end = int(found[1], 16), int(found[2], 16)
            while at < end:
                memory.seek(at)
                try:
                    piece = memory.read(min(_PIECE, end - at))
                except OSError:
                    break
                if not piece:
                    break
                yield Place("memory", piece)
                at += len(piece)
