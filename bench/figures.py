"""What the benchmarks of many databases share: a directory, percentiles, and what a process takes."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, FileDriver
from echolia.storage.migrate import load_migrations


async def open_directory_at(folder: Path, driver: FileDriver) -> Database:
    """The directory in this folder."""
    return await open_directory(folder / "directory.db", driver, load_migrations("directory"))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def peak_mib() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
