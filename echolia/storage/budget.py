"""How many accounts' databases may be open at once: by memory, and by the files that a process may open."""

from __future__ import annotations

import resource
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.storage.leases import CLOSING_AT_ONCE
from echolia.storage.sweeping import AT_ONCE

# The file, its log, its shared memory; pages, statements and structures in memory (bench/many_users.py).
DESCRIPTORS: Final = 3
MEMORY_BYTES: Final = 256 * 1024
# The directory, the lock, the listening socket, the loop's own, a snapshot being written.
OWN_DESCRIPTORS: Final = 64
# Connections of clients that must find room beside the databases, however many those are to be.
LEAST_CONNECTIONS: Final = 64
FEWEST: Final = 8
# Where the system names no limit there is one all the same.
_UNLIMITED: Final = 1 << 20


def files_allowed() -> int:
    """How many files this process may open as it stands."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if most == resource.RLIM_INFINITY else most


def needed_files(databases: int) -> int:
    """How many files a process opens that keeps so many databases open and serves few clients."""
    beside = CLOSING_AT_ONCE + AT_ONCE
    return DESCRIPTORS * (databases + beside) + OWN_DESCRIPTORS + LEAST_CONNECTIONS


def open_at_once(asked: int, memory_bytes: int, most_files: int) -> int:
    """How many databases to keep open: those `asked` for, or (0) what the budgets allow.

    Of `most_files`, which the process may open, half are for clients then.
    Raises: `open_files_limited` where even few connections would not find room beside them.
    """
    half = (most_files - needed_files(0) + LEAST_CONNECTIONS) // 2
    by_files = min(half, most_files - needed_files(0)) // DESCRIPTORS
    databases = asked or max(FEWEST, min(memory_bytes // MEMORY_BYTES, by_files))
    if (needed := needed_files(databases)) > most_files:
        whose = f"ECHOLIA_OPEN_DATABASES={asked}" if asked else "the server"
        wanted = f"{whose} needs {needed} open files and may have {most_files}"
        lower = " or lower the setting" if asked else ""
        raise EcholiaError("open_files_limited", f"{wanted}: raise `ulimit -n` to {needed}{lower}")
    return databases
