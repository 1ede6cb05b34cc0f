"""What the directory says of the server process that serves an account: nothing that is the account's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from echolia.core.ids import b64
from echolia.storage.engine import Database
from echolia.web.context import Fact, facts_of
from echolia.workers import store

_OWNER: Final = "Of several server processes one serves an account, and every other hands requests to it."
_ALIKE: Final = "Machines that serve the same accounts have to have the same keys."
# Place → what it is, and why it is needed.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "directory.slots.slot": ("the accounts that are served together, by the first byte of their ids", _OWNER),
    "directory.slots.owner": ("the process that serves them", _OWNER),
    "directory.slots.fence": ("how often they passed from one to another", _OWNER),
    "directory.workers.worker": ("how many server processes there are", _OWNER),
    "directory.workers.host": ("on how many machines", _OWNER),
    "directory.workers.address": ("where they reach each other", _OWNER),
    "directory.workers.beat_ms": ("when they last said that they live", _OWNER),
    "directory.agreed.name": ("which of their keys and settings are compared", _ALIKE),
    "directory.agreed.print": ("hashes by which they are compared", _ALIKE),
}
_OF_ALL: Final = "not kept by account"


@dataclass(frozen=True, slots=True)
class PlacementLedger:
    """A `web.context.Keeper`."""

    directory: Database

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`."""
        known = await store.look(self.directory)
        slot = next((slot for slot in known.slots if slot.number == store.slot_of(account)), None)
        values = {
            "directory.slots.slot": store.slot_of(account),
            "directory.slots.owner": b64(slot.owner) if slot and slot.owner else None,
            "directory.slots.fence": slot.fence if slot else None,
            "directory.workers.worker": len(known.workers),
            "directory.workers.host": len({worker.host for worker in known.workers.values()}),
            "directory.workers.address": _OF_ALL,
            "directory.workers.beat_ms": _OF_ALL,
            "directory.agreed.name": _OF_ALL,
            "directory.agreed.print": _OF_ALL,
        }
        return facts_of(WORDS, values)
