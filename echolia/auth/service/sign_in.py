"""Signing in: a challenge for a signature, a signature for tokens, a refresh token for the next
(`spec/auth.md`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from echolia.auth.models import Challenge, Refresh, SignIn, Tokens
from echolia.auth.service.access_tokens import AccessTokens
from echolia.auth.service.devices import AccountDevices
from echolia.auth.store import sign_in as store
from echolia.core.errors import EcholiaError
from echolia.core.messages import login_message
from echolia.core.signing import verify
from echolia.storage.engine import Database, Statement
from echolia.web.context import Dice

CHALLENGE_MS: Final = 60_000
# An unknown device is checked against this, so that it takes as long as a known one.
_NOBODY: Final = bytes(31) + b"\x01"


@dataclass(frozen=True, slots=True)
class SignIns:
    """Challenges and tokens of devices; a refresh token lives `refresh_ms`."""

    db: Database
    tokens: AccessTokens
    devices: AccountDevices
    refresh_ms: int
    clock_ms: Callable[[], int]
    dice: Dice

    async def challenge(self, device: bytes) -> Challenge:
        """A challenge, for any id: nobody learns which exist."""
        challenge = self.dice(32)
        await store.put_challenge(self.db, challenge, device, self.clock_ms() + CHALLENGE_MS)
        return Challenge(challenge=challenge, expires_in=CHALLENGE_MS // 1000)

    async def token(self, asked: SignIn) -> Tokens:
        """Tokens for a signed challenge.

        Raises: `challenge_invalid`, `signature_invalid` (also for a device nobody knows), `device_revoked`.
        """
        spent = await store.spend_challenge(self.db, asked.challenge, self.clock_ms())
        if spent.device != asked.device:
            raise EcholiaError("challenge_invalid")
        known = spent.known
        message = login_message(asked.device, asked.challenge)
        if not verify(known.sign if known else _NOBODY, message, asked.signature) or known is None:
            raise EcholiaError("signature_invalid")
        tokens, statement = self.first(known.account, asked.device)
        if known.revoked or not await store.put_token(self.db, statement):
            raise EcholiaError("device_revoked")
        return tokens

    def first(self, account: bytes, device: bytes) -> tuple[Tokens, Statement]:
        """The tokens of a new sign-in, good once the statement was carried out."""
        refresh, family = self.dice(32), self.dice(16)
        expires_ms = self.clock_ms() + self.refresh_ms
        statement = store.insert_token(_hash(refresh), family, account, device, expires_ms)
        return self._tokens(account, device, refresh), statement

    async def refresh(self, asked: Refresh) -> Tokens:
        """The next pair; raises `unauthorized`, `token_expired`, and `token_reused`, which ends the whole
        family.
        """
        now_ms, new = self.clock_ms(), self.dice(32)
        done = await store.renew_token(
            self.db, _hash(asked.refresh), _hash(new), now_ms, now_ms + self.refresh_ms
        )
        match done.outcome:
            case "unknown":
                raise EcholiaError("unauthorized")
            case "expired":
                raise EcholiaError("token_expired")
            case "reused":
                self.devices.signed_out(done.account, done.device)
                raise EcholiaError("token_reused")
        return self._tokens(done.account, done.device, new)

    def _tokens(self, account: bytes, device: bytes, refresh: bytes) -> Tokens:
        access = self.tokens.issue(account, device, self.devices.mark_ms())
        lifetime_s = self.tokens.lifetime_s
        return Tokens(access=access, refresh=refresh, expires_in=lifetime_s, account=account, device=device)


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()
