"""Google's keys: those that sign who a push is from, and the one of a service account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import RSAAlgorithm

_BITS: Final = 2048


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One key for each name, made once in a process: it takes a while."""
    del name  # only tells them apart
    return rsa.generate_private_key(65537, _BITS)


def pem(key: rsa.RSAPrivateKey) -> str:
    """A private key as a service account's file has it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class SigningKeys:
    """What Google signs identities by; `rotate` has another key take over, the former is gone."""

    def __init__(self) -> None:
        self.key_id = "google-key-0"

    def rotate(self) -> None:
        """The next key."""
        self.key_id = f"google-key-{int(self.key_id.rpartition('-')[2]) + 1}"

    def document(self) -> Mapping[str, Any]:
        """The public keys, as a JWK set."""
        public = json.loads(RSAAlgorithm.to_jwk(rsa_key(self.key_id).public_key()))
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """An identity's token."""
        return jwt.encode(dict(claims), rsa_key(self.key_id), algorithm="RS256", headers={"kid": self.key_id})
