"""Proofs that a device itself asks for something grave: a fresh challenge, signed for just this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from echolia.auth.store import sign_in
from echolia.core.errors import EcholiaError
from echolia.core.signing import verify
from echolia.storage.engine import Database
from echolia.web.context import Caller


@dataclass(frozen=True, slots=True)
class DeviceProofs:
    """Implements `web.context.Proofs`."""

    db: Database
    clock_ms: Callable[[], int]

    async def spend(self, caller: Caller, challenge: bytes, message: bytes, signature: bytes) -> None:
        """See `Proofs.spend`."""
        spent = await sign_in.spend_challenge(self.db, challenge, self.clock_ms())
        if spent.device != caller.device or spent.known is None:
            raise EcholiaError("challenge_invalid")
        if not verify(spent.known.sign, message, signature):
            raise EcholiaError("signature_invalid")
