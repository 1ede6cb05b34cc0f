"""Puts together what an `Operator` needs, in a server as in a command on a stopped one's folder."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Database, FileDriver
from echolia.storage.moving import Moves
from echolia.storage.operating.restoring import NewEpoch, Restoring
from echolia.storage.operating.service import Operator
from echolia.storage.registry import DirectoryRegistry
from echolia.storage.snapshots import Dice, Snapshots
from echolia.storage.sweeping import Sweep


def opened(
    data: Path,
    databases: UserDatabases,
    registry: DirectoryRegistry,
    directory: Database,
    driver: FileDriver,
    clock_ms: Callable[[], int],
    new_epoch: NewEpoch,
    dice: Dice = secrets.token_bytes,
) -> Operator:
    """The `Operator`; from now on a deleted account's snapshots and their key go with its database."""
    snapshots = Snapshots(data / "snapshots", directory, driver, clock_ms, dice)
    databases.on_delete(snapshots.forget)
    moves = Moves(databases, registry)
    restoring = Restoring(databases, registry, snapshots, moves, driver, new_epoch)
    return Operator(databases, registry, directory, snapshots, moves, restoring, Sweep(databases))
