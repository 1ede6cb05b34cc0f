"""What this machine can do, as far as it tells by itself (`spec/embeddings.md#where-it-is-made`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from echolia.core.embedding_place import Capability, Power

_MEMORY: Final = Path("/proc/meminfo")
_SUPPLIES: Final = Path("/sys/class/power_supply")
# A machine that does not say how much memory is free is taken for one that has enough.
_UNKNOWN_BYTES: Final = 4 * 2**30
_LOW_PERCENT: Final = 20


def capability(
    installed: frozenset[bytes], *, may_send: bool, memory: Path = _MEMORY, supplies: Path = _SUPPLIES
) -> Capability:
    """This machine's report; `installed` are the digests of the models that it has."""
    return Capability(
        _free_bytes(memory), _cores(), "", _power(supplies), may_send=may_send, installed=installed
    )


def _free_bytes(memory: Path) -> int:
    with suppress(OSError):
        found = re.search(r"^MemAvailable:\s+(\d+) kB", memory.read_text("ascii"), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    return _UNKNOWN_BYTES


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _power(supplies: Path) -> Power:
    """`low` where a battery that is being emptied is nearly empty."""
    emptied = list(_emptied_percents(supplies))
    if not emptied:
        return "mains"
    return "low" if min(emptied) < _LOW_PERCENT else "battery"


def _emptied_percents(supplies: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for supply in sorted(supplies.iterdir()):
            if _said(supply / "status") == "Discharging":
                yield int(_said(supply / "capacity") or 100)


def _said(path: Path) -> str:
    return path.read_text("ascii").strip() if path.exists() else ""
