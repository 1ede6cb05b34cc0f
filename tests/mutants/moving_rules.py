"""Rules of accounts' databases: what a move, a snapshot and a deletion owe."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_MOVING: Final = "echolia/storage/moving.py"
_COPYING: Final = "echolia/storage/copying.py"
_DATABASES: Final = "echolia/storage/databases.py"
_LEASES: Final = "echolia/storage/leases.py"
_MOVES: Final = "tests/storage/test_moving.py"
_COPIES: Final = ("tests/storage/test_copying.py",)
_PROOF: Final = ("tests/journeys/test_deletion_proof.py",)
_SNAPSHOTS: Final = ("tests/storage/test_snapshots.py",)

MOVING: Final = (
    Mutant(
        "a move goes on with a copy that has an owner",
        _MOVING,
        "            await copy.batch([_NO_OWNER])\n",
        "",
        (f"{_MOVES}::test_a_copy_that_had_its_owner_already_is_nobody_s_again",),
    ),
    Mutant(
        "what changed behind a copy is not looked for",
        _MOVING,
        "        if await mend(source, copy, self._log) or begun is None:\n",
        "        if begun is None:\n",
        ("tests/storage/test_move_pauses.py::test_a_compaction_right_before_the_pause_is_moved_too",),
    ),
    Mutant(
        "leases go on while the rest is copied",
        _LEASES,
        "            if (paused := self._paused.get(account)) is not None:\n",
        "            if (paused := self._paused.get(b'')) is not None:\n",
        (f"{_MOVES}::test_whoever_wants_it_during_the_switch_waits_and_is_served",),
    ),
    Mutant(
        "a move takes over what is at its target",
        _MOVING,
        "            if await _is_there(target, account):\n",
        "            if await _is_there(target, b'n' * 16):\n",
        (f"{_MOVES}::test_what_cannot_be_is_named_and_changes_nothing",),
    ),
    Mutant(
        "a print says nothing of small values",
        _COPYING,
        '        f"CASE WHEN length({name}) > {_PRINTED_BYTES} THEN length({name}) ELSE {name} END"\n',
        '        f"length({name})"\n',
        (
            *_COPIES,
            f"{_MOVES}::test_a_log_with_new_hashes_is_not_taken_for_the_copied_one",
        ),
    ),
    Mutant(
        "a page has no bound of bytes",
        _COPYING,
        "        if last is not None and total > PAGE_BYTES:\n",
        "        if last is not None and total < 0:\n",
        _COPIES,
    ),
    Mutant(
        "a deletion forgets where an account is moving to",
        _DATABASES,
        "filter(None, {place.home, place.moving_to, place.leaving})",
        "filter(None, {place.home, place.leaving})",
        (*_PROOF,),
    ),
    Mutant(
        "a deletion forgets where an account came from",
        _DATABASES,
        "filter(None, {place.home, place.moving_to, place.leaving})",
        "filter(None, {place.home, place.moving_to})",
        (f"{_MOVES}::test_a_deletion_reaches_the_place_that_was_left",),
    ),
    Mutant(
        "a deletion leaves the snapshots",
        _DATABASES,
        "                await forget(account)\n",
        "                pass\n",
        (*_PROOF, *_SNAPSHOTS),
    ),
    Mutant(
        "a deletion leaves the data key",
        "echolia/storage/snapshots.py",
        "        await forget_data_key(self._directory, account)\n",
        "",
        (*_PROOF, *_SNAPSHOTS),
    ),
    Mutant(
        "a snapshot may be cut at the end of a chunk",
        "echolia/storage/sealed_files.py",
        "        if tag != expected:\n",
        "        if tag > expected:\n",
        ("tests/storage/test_sealed_files.py",),
    ),
    Mutant(
        "a snapshot is of any account",
        "echolia/storage/sealed_files.py",
        '    return b"echolia/1/snapshot" + account\n',
        '    return b"echolia/1/snapshot"\n',
        ("tests/storage/test_sealed_files.py",),
    ),
    Mutant(
        "any account's file is restored",
        "echolia/storage/operating/restoring.py",
        "    if whose.rows != [(account,)]:\n",
        "    if not whose.rows:\n",
        _SNAPSHOTS,
    ),
    Mutant(
        "a restored log stays in its epoch",
        "echolia/storage/operating/restoring.py",
        "                await self.new_epoch(source)\n",
        "",
        _SNAPSHOTS,
    ),
    Mutant(
        "a lease takes any account's database",
        _LEASES,
        "        if slot.open.account != self._account:\n",
        "        if slot.open.account == b'':\n",
        ("tests/storage/test_isolation.py",),
    ),
)
