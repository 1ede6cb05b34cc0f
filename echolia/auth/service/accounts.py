"""Accounts come and go: registration that leaves nothing half-done, deletion that leaves nothing
(`spec/auth.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from echolia.auth.models import Deletion, Register, Registered
from echolia.auth.service import key_boxes
from echolia.auth.service.devices import AccountDevices
from echolia.auth.service.proof_of_work import Puzzles
from echolia.auth.service.sign_in import SignIns
from echolia.auth.store import accounts as store
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.messages import delete_account_message
from echolia.storage.databases import owner
from echolia.storage.engine import ConstraintViolated, Database, DatabaseExists, Statement
from echolia.web.context import Caller, Dice, Proofs


class AccountDatabases(Protocol):
    """Where accounts' own databases are made and removed; `storage.databases.UserDatabases` is one."""

    async def create(self, account: bytes, statements: Sequence[Statement] = ()) -> None:
        """Make it; raises `DatabaseExists`."""
        ...

    async def delete(self, account: bytes) -> None:
        """Remove it, whether or not it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Accounts:
    """Registration and deletion."""

    db: Database
    databases: AccountDatabases
    devices: AccountDevices
    sign_ins: SignIns
    proofs: Proofs
    puzzles: Puzzles
    clock_ms: Callable[[], int]
    dice: Dice
    _registering: set[bytes] = field(default_factory=set)

    async def register(self, asked: Register) -> Registered:
        """A new account with its first device, signed in.

        Raises: `device_log_invalid`, `key_box_invalid`, `account_exists`, `account_unknown` (it was deleted),
        `proof_of_work_required`, `proof_of_work_invalid`.
        """
        genesis = SignedEntry(asked.genesis.entry, asked.genesis.signatures)
        log = DeviceLog.start(genesis)
        (device,) = log.devices
        boxes = list(key_boxes.verified(asked.key_boxes, log, device))
        await self._check_free(log.account, device)
        proof = asked.proof_of_work
        self.puzzles.charge(proof.challenge if proof else None, proof.nonce if proof else "")
        if log.account in self._registering:
            raise EcholiaError("account_exists")
        self._registering.add(log.account)
        try:
            return await self._register(log, genesis, boxes, device)
        finally:
            self._registering.discard(log.account)

    async def _check_free(self, account: bytes, device: bytes) -> None:
        taken = await store.taken(self.db, account, device)
        if taken.deleted:
            raise EcholiaError("account_unknown", "it was deleted")
        if taken.account or taken.device:
            raise EcholiaError("account_exists")

    async def _register(
        self, log: DeviceLog, genesis: SignedEntry, boxes: list[store.KeyBoxRow], device: bytes
    ) -> Registered:
        """First the account's database, then the rows that make it an account: a crash between leaves only
        the file.
        """
        made = await self._create(log.account)
        tokens, statement = self.sign_ins.first(log.account, device)
        try:
            await store.insert(self.db, log, genesis, boxes, self.clock_ms(), statement)
        except ConstraintViolated:
            if made:
                await self.databases.delete(log.account)
            raise EcholiaError("account_exists") from None
        self.devices.grown(log)
        return Registered(account=log.account, device=device, tokens=tokens)

    async def _create(self, account: bytes) -> bool:
        epoch = 1 + int.from_bytes(self.dice(8), "big") % (2**53 - 1)
        try:
            await self.databases.create(account, [owner(account, epoch)])
        except DatabaseExists:
            # Left by a crash, or the directory came back from an older backup than it. It can only be this
            # account's, and what is in it is not to be lost.
            return False
        return True

    async def delete(self, caller: Caller, asked: Deletion) -> None:
        """The whole account, for good.

        Raises: `invalid_request` where `confirm` is another id, `challenge_invalid`, `signature_invalid`.
        """
        if asked.confirm != caller.account:
            raise EcholiaError("invalid_request", "confirm is not this account")
        message = delete_account_message(caller.account, asked.challenge)
        await self.proofs.spend(caller, asked.challenge, message, asked.signature)
        await store.begin_deletion(self.db, caller.account, self.clock_ms())
        await self._finish_deletion(caller.account)

    async def _finish_deletion(self, account: bytes) -> None:
        self.devices.deleted(account)
        await self.databases.delete(account)
        await store.delete(self.db, account)
        self.devices.forget(account)
        await self.db.reclaim()  # until then, what was deleted can still be read beside it

    async def keep_recoveries(self) -> None:
        """Learn what the phrases of accounts sign in as that an earlier version made."""
        for account in await store.without_recovery(self.db):
            await store.keep_recovery(self.db, await self.devices.log(account))

    async def resume_deletions(self, ours: Callable[[bytes], bool] = lambda _: True) -> int:
        """Finish the deletions of `ours` that a crash interrupted; returns how many there were."""
        begun = [account for account in await store.deletions(self.db) if ours(account)]
        for account in begun:
            await self._finish_deletion(account)
        return len(begun)
