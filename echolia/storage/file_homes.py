"""The places of accounts' databases of a server that knows of files alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from echolia.storage.databases import FILES
from echolia.storage.engine import FileDriver
from echolia.storage.migrate import Migration
from echolia.storage.provisioner import Provisioner
from echolia.storage.sqlite.provisioner import Files

# The places of the server with a data folder, by their names.
Homes = Callable[[Path, FileDriver, Sequence[Migration]], Mapping[str, Provisioner]]


def files_alone(data: Path, driver: FileDriver, migrations: Sequence[Migration]) -> Mapping[str, Provisioner]:
    """One folder."""
    return {FILES: Files(data / "users", driver, migrations)}
