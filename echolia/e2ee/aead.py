"""XChaCha20-Poly1305 (IETF), the one cipher of suite 1: a door that no other module goes around.

Everything that is sealed under a symmetric key passes here, so the independent vectors in
`tests/independent` are run through what devices really call.
"""

from __future__ import annotations

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

NONCE_BYTES = 24


def seal(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Ciphertext and tag, 16 bytes more than the plaintext. `key` is 32 bytes, `nonce` 24 random ones."""
    return crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, aad, nonce, key)


def unseal(key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes | None:
    """The plaintext, or None if key, nonce, AAD and sealed bytes do not all belong together."""
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, key)
    except (CryptoError, ValueError, TypeError):
        return None
