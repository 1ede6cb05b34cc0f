"""What whoever has the recovery phrase can do without a device (`spec/auth.md#recovery`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from echolia.auth.models import LogEntry, Recovered, RecoveredDevice, SignIn
from echolia.auth.service import key_boxes
from echolia.auth.service.membership import Membership
from echolia.auth.store import accounts as store
from echolia.auth.store import sign_in
from echolia.core.device_entries import BY_RECOVERY, SignedEntry, read_entry
from echolia.core.errors import EcholiaError
from echolia.core.messages import recovery_message
from echolia.core.signing import verify

# Unknown keys are checked against this, so that they take as long as known ones.
_NOBODY: Final = bytes(31) + b"\x01"
_ALL: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovery of accounts."""

    membership: Membership

    async def account(self, asked: SignIn) -> Recovered:
        """The account of a phrase, its device log and its boxes for recovery.

        Raises: `challenge_invalid`, `signature_invalid` (also for a phrase nobody knows).
        """
        db = self.membership.db
        spent = await sign_in.spend_challenge(db, asked.challenge, self.membership.clock_ms())
        if spent.device != asked.device:
            raise EcholiaError("challenge_invalid")
        known = await store.recovery(db, asked.device)
        message = recovery_message(asked.device, asked.challenge)
        if not verify(known.sign if known else _NOBODY, message, asked.signature) or known is None:
            raise EcholiaError("signature_invalid")
        log = await self.membership.devices.log(known.account)
        entries = (await store.entries(db, known.account, 0, _ALL))[: log.length]
        boxes = await store.key_boxes(db, known.account, BY_RECOVERY)
        return Recovered(
            account=known.account,
            log=[LogEntry(entry=each.entry, signatures=dict(each.signatures)) for each in entries],
            n=log.length,
            head=log.head,
            boxes=[key_boxes.told(row) for row in boxes],
        )

    async def add(self, asked: RecoveredDevice) -> None:
        """Append an `add` entry that recovery signed; the same again changes nothing.

        Raises: `account_unknown`, `device_log_invalid`, `device_log_conflict`, `too_many_devices`,
        `key_box_invalid`, `account_exists` (the device belongs to one).
        """
        signed = SignedEntry(asked.entry, asked.signatures)
        fields = read_entry(signed.entry)
        if fields["type"] != "add" or fields["by"] != BY_RECOVERY:
            raise EcholiaError("device_log_invalid", "not an addition by recovery")
        await self.membership.add_by(asked.account, signed, asked.key_boxes)
