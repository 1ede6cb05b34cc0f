"""What the directory remembers of an account's own database: where it is, and how it stands there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from echolia.core.ids import b64
from echolia.storage.registry import Registry
from echolia.storage.snapshots import Snapshots
from echolia.web.context import Fact, facts_of

_HOME: Final = "Every request finds your database, wherever whoever runs the server keeps it."
_MOVING: Final = "A move to another place that was interrupted goes on."
_UPGRADE: Final = "Upgrades reach every database, and one that fails is left alone."
_SNAPSHOT: Final = "Whoever runs the server can bring your database back to it if the disk fails."
# Place → what it is, and why it is needed.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "directory.databases.account": ("the account's id", _HOME),
    "directory.databases.home": ("the place where its database is", _HOME),
    "directory.databases.moving_to": ("where it is being moved to", _MOVING),
    "directory.databases.leaving": ("where it is still to be removed from", _MOVING),
    "directory.databases.version": ("the version of its tables", _UPGRADE),
    "directory.databases.failed": ("the code by which an upgrade of it failed", _UPGRADE),
    "directory.databases.blocked": (
        "whether the account is blocked",
        "Whoever runs the server may have to stop serving an account without deleting it.",
    ),
    "directory.data_keys.account": ("the account that a key of snapshots is of", _SNAPSHOT),
    "directory.data_keys.key": (
        "that key",
        "Snapshots are sealed under it; once it is deleted with the account, no copy of them can be read.",
    ),
    "files.snapshots": ("sealed copies of your database as it was at earlier moments", _SNAPSHOT),
}


@dataclass(frozen=True, slots=True)
class PlaceLedger:
    """A `web.context.Keeper`."""

    registry: Registry
    snapshots: Snapshots

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`."""
        place = await self.registry.place(account)
        values = {f"directory.databases.{name}": value for name, value in place._asdict().items()}

        kept = await self.snapshots.listed(account)
        keyed = await self.snapshots.has_key(account)
        return facts_of(
            WORDS,
            {
                "directory.databases.account": b64(account),
                **values,
                "directory.data_keys.account": b64(account) if keyed else None,
                "directory.data_keys.key": {"count": int(keyed)},
                "files.snapshots": {"count": len(kept), "bytes": sum(each.bytes for each in kept)},
            },
        )
