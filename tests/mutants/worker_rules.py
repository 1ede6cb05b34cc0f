"""Rules of several processes: who owns an account, who may write to it, where requests go."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_PLACEMENT: Final = "echolia/workers/placement.py"
_FENCING: Final = "echolia/storage/fencing.py"
_SEVERAL: Final = "tests/workers/test_several.py"
_PLACED: Final = "tests/workers/test_placement.py"
_CENSUS: Final = "echolia/workers/census.py"
_SECURED: Final = "echolia/workers/secured.py"
_FORMER: Final = "tests/storage/test_moves_of_former_owners.py"

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
    Mutant(
        "a former owner finishes a move",
        "echolia/storage/moving.py",
        "registry.switch(account, place.home, to, fence):\n",
        "registry.switch(account, place.home, to):\n",
        (f"{_FORMER}::test_a_former_owner_switches_nothing",),
    ),
    Mutant(
        "a former owner writes into a copy that the next has finished",
        "echolia/storage/moving.py",
        "            copy = copy if fence is None else fenced_copy(copy, fence)\n",
        "",
        (f"{_FORMER}::test_a_former_owner_writes_nothing_into_what_the_next_has_copied",),
    ),
    Mutant(
        "who has lost an account removes what it takes for left over",
        "echolia/storage/moving.py",
        "        self._databases.fence(account)  # who has lost it does not know what is left over\n",
        "",
        (f"{_FORMER}::test_who_knows_that_it_is_lost_removes_nothing",),
    ),
    Mutant(
        "what was another's meanwhile is taken for ours all the time",
        _PLACEMENT,
        "            if number not in ours or ours[number].fence != owned.fence:\n",
        "            if number not in ours:\n",
        (f"{_PLACED}::test_what_was_another_s_meanwhile_is_begun_anew",),
    ),
    Mutant(
        "who was taken for dead lives again before it has looked",
        _PLACEMENT,
        "                await self._look()\n                await self._join(begun_ms)\n",
        "                await self._join(begun_ms)\n",
        (f"{_PLACED}::test_who_was_taken_for_dead_gives_up_what_others_have",),
    ),
    Mutant(
        "who has beaten meanwhile is buried",
        "echolia/workers/store.py",
        '"DELETE FROM workers WHERE worker = ? AND beat_ms = ?"\n',
        '"DELETE FROM workers WHERE worker = ? AND beat_ms <= ? + 1"\n',
        (f"{_PLACED}::test_who_has_beaten_since_it_was_looked_at_is_not_buried",),
    ),
    Mutant(
        "what prepares a slot waits for itself",
        _PLACEMENT,
        "        early = preparing and slot_of(account) in self._preparing and not self._silent()\n",
        "        early = False\n",
        (f"{_PLACED}::test_only_what_prepares_a_slot_enters_it_early",),
    ),
    Mutant(
        "others' clocks are believed",
        _CENSUS,
        "            self._seen[worker.id] = (worker.beat_ms, since_ms)\n",
        "            self._seen[worker.id] = (worker.beat_ms, worker.beat_ms)\n",
        ("tests/workers/test_census.py",),
    ),
    Mutant(
        "who could not look for long takes others for dead",
        _CENSUS,
        "            self._seen.clear()  # who could not look itself for so long cannot tell\n",
        "            pass\n",
        ("tests/workers/test_census.py::test_who_has_not_looked_for_long_does_not_judge",),
    ),
    Mutant(
        "a copied data folder is taken for the same machine",
        _CENSUS,
        "    return sha256(made + where.encode()).digest()[:HOST_BYTES]\n",
        "    return sha256(made + where[:0].encode()).digest()[:HOST_BYTES]\n",
        ("tests/workers/test_census.py::test_a_copy_of_the_folder_is_another_machine",),
    ),
    Mutant(
        "anybody is heard by another machine",
        _SECURED,
        "    context.verify_mode = ssl.CERT_REQUIRED\n",
        "    context.verify_mode = ssl.CERT_NONE\n",
        ("tests/workers/test_secured.py",),
    ),
    Mutant(
        "older TLS is spoken",
        _SECURED,
        "    context.minimum_version = ssl.TLSVersion.TLSv1_3\n",
        "    context.minimum_version = ssl.TLSVersion.TLSv1_2\n",
        ("tests/workers/test_secured.py::test_nothing_older_than_tls_1_3_is_spoken",),
    ),
    Mutant(
        "a machine with another key serves",
        "echolia/workers/agreement.py",
        "    wrong = sorted(name for name, print_ in ours.items() if there[name] != print_)\n",
        "    wrong = sorted(name for name, print_ in ours.items() if name not in there)\n",
        ("tests/workers/test_agreement.py::test_a_key_that_is_missing_or_another_is_named",),
    ),
)
