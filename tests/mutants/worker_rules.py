"""Rules of several processes: who owns an account, who may write to it, where requests go."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_PLACEMENT: Final = "echolia/workers/placement.py"
_FENCING: Final = "echolia/storage/fencing.py"
_SEVERAL: Final = "tests/workers/test_several.py"
_PLACED: Final = "tests/workers/test_placement.py"

WORKERS: Final = (
    Mutant(
        "a former owner writes",
        _FENCING,
        "            _, *results = await self._db.batch([self._assertion, *statements])\n",
        "            _, *results = await self._db.batch([Statement('SELECT 1'), *statements])\n",
        (f"{_SEVERAL}::test_only_the_last_owner_of_a_database_writes",),
    ),
    Mutant(
        "a former owner opens a database",
        _FENCING,
        "    if await fence_of(db) != fence:\n",
        "    if await fence_of(db) is None:\n",
        (f"{_SEVERAL}::test_only_the_last_owner_of_a_database_writes",),
    ),
    Mutant(
        "an account is handed over while requests of it run",
        _PLACEMENT,
        "        await self._owned[number].idle.wait()\n",
        "",
        (f"{_PLACED}::test_it_is_handed_over_once_nothing_runs_in_it",),
    ),
    Mutant(
        "what somebody has is claimed",
        "echolia/workers/store.py",
        '    "UPDATE slots SET owner = ?1, fence = fence + 1 WHERE slot = ?2 AND fence = ?3"\n'
        '    " AND (owner IS NULL OR owner = ?4) RETURNING fence"\n',
        '    "UPDATE slots SET owner = ?1, fence = fence + 1 WHERE slot = ?2 AND (?3 >= 0 OR ?4 IS NULL)"\n'
        '    " RETURNING fence"\n',
        (f"{_PLACED}::test_of_many_who_claim_one_gets_it",),
    ),
    Mutant(
        "who has not beaten for long goes on serving",
        _PLACEMENT,
        "        return owned is not None and owned.open and not self._silent()\n",
        "        return owned is not None and owned.open\n",
        (f"{_PLACED}::test_who_was_taken_for_dead_gives_up_what_others_have",),
    ),
    Mutant(
        "an owner is not told of a device that came by another process",
        "echolia/auth/service/membership.py",
        "        await self.devices.grown_elsewhere(account)\n",
        "",
        (f"{_SEVERAL}::test_a_device_that_recovery_added_anywhere_may_push",),
    ),
    Mutant(
        "what is given up goes on over there",
        "echolia/workers/channel.py",
        "            self._stream.send(cbor2.dumps([number, None, []]))\n",
        "            answer.cancel()\n",
        ("tests/workers/test_channel.py::test_what_is_given_up_has_stopped",),
    ),
)
