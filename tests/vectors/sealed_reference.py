"""Sealed requests and responses, written a second time from their page; HPKE, from RFC 9180.

Nothing here imports `echolia` or a library for HPKE. Chunks are given ready to be sealed, so that every
part may be made wrong on purpose.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.vectors.reference import box_public, padme, u

KEM, KDF = 0x0020, 0x0001
AES_128_GCM, CHACHA20_POLY1305 = 0x0001, 0x0003
KEY_LENGTHS = {AES_128_GCM: 16, CHACHA20_POLY1305: 32}
REQUEST_LABEL, RESPONSE_LABEL = b"echolia/1/sealed request", b"echolia/1/sealed response"
FINAL = b"final"

# A plaintext, and how it is sealed: the AAD, and whether its length is given (None: it is the last).
Piece = tuple[bytes, bytes, bool]


def extract(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract."""
    return hmac.digest(salt or bytes(32), secret, sha256)


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand."""
    block, found = b"", b""
    for n in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + u(8, n), sha256)
        found += block
    return found[:length]


def aead_seal(aead: int, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    """The ciphertext and its tag."""
    cipher = AESGCM(key) if aead == AES_128_GCM else ChaCha20Poly1305(key)
    return cipher.encrypt(nonce, plain, aad)


def counted(base: bytes, n: int) -> bytes:
    """The nonce of the n-th chunk."""
    return bytes(a ^ b for a, b in zip(base, n.to_bytes(12, "big"), strict=True))


def varint(number: int, size: int | None = None) -> bytes:
    """A varint of QUIC; in `size` bytes, or the least that hold it."""
    least = next(each for each in (1, 2, 4, 8) if number < 1 << (8 * each - 2))
    size = size or least
    return ((size.bit_length() - 1) << (8 * size - 2) | number).to_bytes(size, "big")


def header(key_id: int, aead: int = CHACHA20_POLY1305, kem: int = KEM, kdf: int = KDF) -> bytes:
    """The seven bytes before `enc`."""
    return u(8, key_id) + u(16, kem) + u(16, kdf) + u(16, aead)


@dataclass(frozen=True)
class Context:
    """HPKE's base mode, the sender's side, from an ephemeral secret that is given."""

    enc: bytes
    aead: int
    key: bytes
    base: bytes
    exporter: bytes

    @classmethod
    def setup(cls, recipient: bytes, ephemeral: bytes, info: bytes, aead: int = CHACHA20_POLY1305) -> Context:
        """RFC 9180, 5.1.1 and 4.1."""
        enc = box_public(ephemeral)
        secret = X25519PrivateKey.from_private_bytes(ephemeral)
        return cls.agreed(
            enc, recipient, secret.exchange(X25519PublicKey.from_public_bytes(recipient)), info, aead
        )

    @classmethod
    def agreed(cls, enc: bytes, recipient: bytes, dh: bytes, info: bytes, aead: int) -> Context:
        """The context of what Diffie and Hellman gave."""
        kem = b"KEM" + u(16, KEM)
        prk = _labeled_extract(kem, b"", b"eae_prk", dh)
        shared = _labeled_expand(kem, prk, b"shared_secret", enc + recipient, 32)
        suite = b"HPKE" + u(16, KEM) + u(16, KDF) + u(16, aead)
        hashes = _labeled_extract(suite, b"", b"psk_id_hash", b"") + _labeled_extract(
            suite, b"", b"info_hash", info
        )
        schedule = b"\0" + hashes
        secret = _labeled_extract(suite, shared, b"secret", b"")
        key = _labeled_expand(suite, secret, b"key", schedule, KEY_LENGTHS[aead])
        base = _labeled_expand(suite, secret, b"base_nonce", schedule, 12)
        return cls(enc, aead, key, base, _labeled_expand(suite, secret, b"exp", schedule, 32))

    def seal(self, n: int, plain: bytes, aad: bytes) -> bytes:
        """The n-th message."""
        return aead_seal(self.aead, self.key, counted(self.base, n), plain, aad)

    def export(self, label: bytes, length: int = 32) -> bytes:
        """HPKE's `Export`."""
        suite = b"HPKE" + u(16, KEM) + u(16, KDF) + u(16, self.aead)
        return _labeled_expand(suite, self.exporter, b"sec", label, length)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return extract(salt, b"HPKE-v1" + suite + label + secret)


def _labeled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(key, u(16, length) + b"HPKE-v1" + suite + label + info, length)


def request_context(recipient: bytes, ephemeral: bytes, head: bytes, label: bytes = REQUEST_LABEL) -> Context:
    """The context of a request with this header."""
    return Context.setup(recipient, ephemeral, label + b"\0" + head, int.from_bytes(head[5:7], "big"))


def response_keys(
    secret: bytes, enc: bytes, nonce: bytes, aead: int = CHACHA20_POLY1305
) -> tuple[bytes, bytes]:
    """The key and the base nonce of a response."""
    prk = extract(enc + nonce, secret)
    return expand(prk, b"key", KEY_LENGTHS[aead]), expand(prk, b"nonce", 12)


def pieces(plains: Sequence[bytes]) -> list[Piece]:
    """How plaintexts are sealed where nothing is wrong."""
    return [(each, b"", True) for each in plains[:-1]] + [(plains[-1], FINAL, False)]


def framed(sealed: Sequence[bytes], size: int | None = None) -> bytes:
    """Sealed chunks one after the other, the last as the final one."""
    return b"".join(chunk(each, size) for each in sealed[:-1]) + b"\0" + sealed[-1]


def chunk(sealed: bytes, size: int | None = None) -> bytes:
    """A chunk that is not final."""
    return varint(len(sealed), size) + sealed


def request_plain(json: bytes, length: int | None = None, said: int | None = None) -> bytes:
    """The padded plaintext; `length` and `said` where they are to be wrong."""
    whole = max(1024, padme(4 + len(json))) if length is None else length
    return (u(32, len(json) if said is None else said) + json).ljust(whole, b"\0")


def response_plain(json: bytes, length: int | None = None, said: int | None = None) -> bytes:
    """The padded plaintext of a chunk of a response."""
    whole = -(-(4 + len(json)) // 64) * 64 if length is None else length
    return (u(32, len(json) if said is None else said) + json).ljust(whole, b"\0")
