"""Ed25519: is this signature that key's over these bytes? (libsodium, half OpenSSL's time)."""

from __future__ import annotations

from nacl.bindings import crypto_sign_BYTES, crypto_sign_open, crypto_sign_PUBLICKEYBYTES
from nacl.exceptions import BadSignatureError, CryptoError

SIGNATURE_BYTES = crypto_sign_BYTES
PUBLIC_KEY_BYTES = crypto_sign_PUBLICKEYBYTES


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """True if `signature` (64 bytes) is over `message` by the key `public` (32 bytes)."""
    if len(public) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except (BadSignatureError, CryptoError, ValueError):
        return False
    return True
