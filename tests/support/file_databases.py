"""Accounts' databases as files of one folder, with no directory beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from echolia.storage.databases import FILES, UserDatabases
from echolia.storage.engine import Database, FileDriver
from echolia.storage.migrate import Migration, load_migrations
from echolia.storage.registry import DirectoryRegistry, OneHome
from echolia.storage.reserve import Reserve
from echolia.storage.sqlite.provisioner import Files


def file_databases(
    folder: Path,
    driver: FileDriver,
    migrations: Sequence[Migration] | None = None,
    max_open: int = 512,
    reserve: Reserve | None = None,
    directory: Database | None = None,
) -> UserDatabases:
    """The databases below `folder`, by the released migrations or those given; a directory may know them."""
    steps = load_migrations("user") if migrations is None else migrations
    registry = OneHome() if directory is None else DirectoryRegistry(directory)
    return UserDatabases({FILES: Files(folder, driver, steps)}, registry, steps, max_open, reserve)
