"""X25519 public keys that may stand in an account: those to which something can be sealed."""

from __future__ import annotations

from typing import Final

from nacl.bindings import crypto_scalarmult
from nacl.exceptions import CryptoError

BOX_KEY_BYTES: Final = 32
_ANY_SECRET: Final = b"\1" * BOX_KEY_BYTES


def can_be_sealed_to(public: bytes) -> bool:
    """False for a key of another length or of small order.

    From those few points every secret key makes the same shared secret, zero, so libsodium seals nothing to
    them: one in a device log would stop every device that seals the account's secrets to all others.
    """
    if len(public) != BOX_KEY_BYTES:
        return False
    try:
        crypto_scalarmult(_ANY_SECRET, public)
    except CryptoError:
        return False
    return True
