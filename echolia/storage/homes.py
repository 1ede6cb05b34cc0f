"""The places that accounts' databases may be at, by their names, and how they are opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from echolia.storage.databases import FILES
from echolia.storage.engine import FileDriver
from echolia.storage.migrate import Migration
from echolia.storage.provisioner import Provisioner
from echolia.storage.sqlite.provisioner import Files

# The places of the server with this data folder.
Homes = Callable[[Path, FileDriver, Sequence[Migration]], Mapping[str, Provisioner]]


def files_alone(data: Path, driver: FileDriver, migrations: Sequence[Migration]) -> Mapping[str, Provisioner]:
    """Those of a server that was told of no others."""
    return {FILES: Files(data / "users", driver, migrations)}
