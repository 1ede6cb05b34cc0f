"""HPKE suites with the labels they are used with, and the header that names one (`spec/sealed.md#suite`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from pyhpke import AEADId, CipherSuite, ContextInterface, KDFId, KEMId, KEMKey, KEMKeyInterface, KEMKeyPair

PUBLIC_BYTES: Final = 32
TAG_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_HEADER: Final = Struct(">BHHH")
HEADER_BYTES: Final = _HEADER.size
Aead = AESGCM | ChaCha20Poly1305
_AEADS: Final[Mapping[AEADId, tuple[type[Aead], int]]] = {
    AEADId.AES128_GCM: (AESGCM, 16),
    AEADId.CHACHA20_POLY1305: (ChaCha20Poly1305, 32),
}


@dataclass(frozen=True)
class Suite:
    """X25519 and HKDF-SHA256 with an AEAD, and what requests and responses are bound to."""

    aead_id: AEADId
    request_label: bytes
    response_label: bytes

    @cached_property
    def hpke(self) -> CipherSuite:
        """The suite of HPKE."""
        return CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, self.aead_id)

    @property
    def key_bytes(self) -> int:
        """Length of a response's key, its nonce and the exported secret."""
        return _AEADS[self.aead_id][1]

    def header(self, key_id: int) -> bytes:
        """Names the key and the suite."""
        kem, kdf = KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256
        return _HEADER.pack(key_id, kem.value, kdf.value, self.aead_id.value)

    def info(self, header: bytes) -> bytes:
        """What the context of a request is bound to."""
        return self.request_label + b"\0" + header

    def response_keys(self, context: ContextInterface, enc: bytes, nonce: bytes) -> tuple[Aead, bytes]:
        """The response's AEAD, and the nonce of its chunk 0."""
        secret = context.export(self.response_label, self.key_bytes)
        extract = HMAC(enc + nonce, SHA256())
        extract.update(secret)
        prk = extract.finalize()
        key = HKDFExpand(SHA256(), self.key_bytes, b"key").derive(prk)
        return _AEADS[self.aead_id][0](key), HKDFExpand(SHA256(), _NONCE_BYTES, b"nonce").derive(prk)


SUITE: Final = Suite(AEADId.CHACHA20_POLY1305, b"echolia/1/sealed request", b"echolia/1/sealed response")


def key_id_of(request: bytes) -> int:
    """The key that a request is sealed to."""
    return request[0]


def secret_key(secret: bytes) -> KEMKeyInterface:
    """An X25519 key of 32 secret bytes."""
    return KEMKey.from_pyca_cryptography_key(X25519PrivateKey.from_private_bytes(secret))


def public_key(public: bytes) -> KEMKeyInterface:
    """An X25519 key that somebody else has the secret of."""
    return KEMKey.from_pyca_cryptography_key(X25519PublicKey.from_public_bytes(public))


def public_of(secret: bytes) -> bytes:
    """The public half (32 bytes)."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def key_pair(secret: bytes) -> KEMKeyPair:
    """Both halves."""
    private = X25519PrivateKey.from_private_bytes(secret)
    both = (KEMKey.from_pyca_cryptography_key(key) for key in (private, private.public_key()))
    return KEMKeyPair(*both)
