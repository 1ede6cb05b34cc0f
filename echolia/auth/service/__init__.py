"""What a device can ask about accounts, tokens and devices; `open_auth` puts the parts together."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from echolia.auth.service.access_tokens import AccessTokens, SigningKeys
from echolia.auth.service.accounts import AccountDatabases, Accounts
from echolia.auth.service.devices import AccountDevices
from echolia.auth.service.ledger import AuthLedger
from echolia.auth.service.membership import Membership
from echolia.auth.service.pairing import Pairing
from echolia.auth.service.proof_of_work import Puzzles
from echolia.auth.service.proofs import DeviceProofs
from echolia.auth.service.recovery import Recovery
from echolia.auth.service.rights import Rights
from echolia.auth.service.sign_in import SignIns
from echolia.auth.store import sign_in
from echolia.settings import Settings
from echolia.storage.engine import Database
from echolia.web.context import DeviceEntitlements, Dice

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Auth:
    """The feature's services."""

    db: Database
    tokens: AccessTokens
    devices: AccountDevices
    sign_ins: SignIns
    proofs: DeviceProofs
    accounts: Accounts
    membership: Membership
    pairing: Pairing
    recovery: Recovery
    ledger: AuthLedger
    clock_ms: Callable[[], int]

    async def sweep(self) -> None:
        """Forget what has expired; to be called now and then."""
        self.devices.sweep()
        await sign_in.sweep(self.db, self.clock_ms())


class Others(NamedTuple):
    """What there is to know of where other processes serve accounts of the same directory.

    `owns` says which accounts are this process's own, `tell_owner` that the device log of another has grown,
    `reload` reads the signing keys that another may have
    made, and whoever waits at a mailbox looks into it every `poll_s` seconds.
    """

    owns: Callable[[bytes], bool] = lambda _: True
    tell_owner: Callable[[bytes], Awaitable[None]] | None = None
    reload: Callable[[], SigningKeys] | None = None
    poll_s: float | None = None


ALONE: Final = Others()


def open_auth(
    settings: Settings,
    db: Database,
    databases: AccountDatabases,
    keys: SigningKeys,
    clock_ms: Callable[[], int],
    entitlements: DeviceEntitlements,
    dice: Dice = secrets.token_bytes,
    others: Others = ALONE,
) -> Auth:
    """The services over the directory `db`; call `devices.load`, `accounts.resume_deletions` and
    `accounts.keep_recoveries` before serving.
    """
    tokens = AccessTokens(keys, settings.access_token_seconds, clock_ms, others.reload)
    devices = AccountDevices(
        db, settings.access_token_seconds * 1000, clock_ms, others.owns, others.tell_owner
    )
    sign_ins = SignIns(db, tokens, devices, settings.refresh_token_days * DAY_MS, clock_ms, dice)
    puzzles = Puzzles(settings.register_free_per_minute, settings.proof_of_work_bits, clock_ms, dice)
    proofs = DeviceProofs(db, clock_ms)
    accounts = Accounts(db, databases, devices, sign_ins, proofs, puzzles, clock_ms, dice)
    rights = Rights(db, settings.new_device_hours * HOUR_MS, clock_ms)
    membership = Membership(db, devices, rights, entitlements, clock_ms)
    pairing = Pairing(db, devices, rights, entitlements, clock_ms, dice, others.poll_s)
    ledger = AuthLedger(db, devices, pairing.waiting)
    recovery = Recovery(membership)
    return Auth(
        db, tokens, devices, sign_ins, proofs, accounts, membership, pairing, recovery, ledger, clock_ms
    )
