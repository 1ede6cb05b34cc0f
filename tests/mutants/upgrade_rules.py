"""Rules of migrating accounts' databases: whom a failure harms, and when it all stops."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_UPGRADES: Final = "echolia/storage/upgrades.py"
_SWEEPING: Final = "echolia/storage/sweeping.py"
_LEASES: Final = "echolia/storage/leases.py"
_LEASED: Final = ("tests/storage/test_upgrade.py",)
_SWEPT: Final = ("tests/storage/test_sweeping.py",)

UPGRADES: Final = (
    Mutant(
        "a full disk is held against a database",
        _UPGRADES,
        "        if failure is not None and lies_in_the_data(failure):\n",
        "        if failure is not None:\n",
        _LEASED,
    ),
    Mutant(
        "a failed migration is tried at every lease",
        _UPGRADES,
        "        await self.registry.migrated(account, version, failure.code)\n",
        "        await self.registry.migrated(account, version)\n",
        _LEASED,
    ),
    Mutant(
        "a lease migrates though that is paused",
        _UPGRADES,
        "        if self._state.paused and not forced:\n",
        "        if self._state.paused and forced:\n",
        _LEASED,
    ),
    Mutant(
        "a pause is forgotten by a restart",
        _UPGRADES,
        "        if state.version != self.latest:\n            paused =",
        "        if state.version != 0:\n            paused =",
        _LEASED,
    ),
    Mutant(
        "what is too old to be served is served",
        _UPGRADES,
        "        if failure is not None and version < self.served_since:\n",
        "        if failure is not None and version < 0:\n",
        _LEASED,
    ),
    Mutant(
        "a migration that fails everywhere goes on",
        _UPGRADES,
        "    return state.failed * FAILING_SHARE > max(state.size, state.tried)\n",
        "    return state.failed > max(state.size, state.tried)\n",
        _SWEPT,
    ),
    Mutant(
        "the canary is not waited for",
        _SWEEPING,
        "                few = 1 if self._upgrades.in_canary or in_a_row else AT_ONCE\n",
        "                few = AT_ONCE\n",
        _SWEPT,
    ),
    Mutant(
        "the sweep takes the places of hot databases",
        _LEASES,
        "        self._passing += passing\n",
        "        self._passing += 0\n",
        _SWEPT,
    ),
    Mutant(
        "what the sweep has opened stays open",
        _LEASES,
        "        if slot.retired or slot.passing:\n",
        "        if slot.retired:\n",
        _SWEPT,
    ),
    Mutant(
        "the sweep works without a rest",
        _SWEEPING,
        "        self._due = max(self._due, now + (now - self._begun))\n",
        "        self._due = max(self._due, now)\n",
        _SWEPT,
    ),
    Mutant(
        "the sweep lives on a full disk's reserve",
        "echolia/storage/databases.py",
        "        self._reserve.refuse_growth()\n        try:\n",
        "        try:\n",
        _SWEPT,
    ),
)
