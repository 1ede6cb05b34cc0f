"""Tokens for one database each, made here for a server that knows our key, short-lived, in memory only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from echolia.core.errors import EcholiaError

Clock = Callable[[], float]

LIFE_S: Final = 600
# A token that ends this soon is replaced before: it has to arrive as well.
MARGIN_S: Final = 60


class Signer:
    """Signs tokens that open one database for `LIFE_S`; `clock` is in Unix seconds."""

    def __init__(self, key: Ed25519PrivateKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def token(self, name: str) -> tuple[str, float]:
        """A token for the database of that name and when it is to be replaced, in Unix seconds.

        There is no way to sign one without a name: sqld would open everything to it.
        """
        now = self._clock()
        claims = {"id": name, "a": "rw", "exp": int(now) + LIFE_S}
        return jwt.encode(claims, self._key, "EdDSA"), now + LIFE_S - MARGIN_S


class SignedAccess:
    """An `Access` to one sqld namespace, by tokens of our own."""

    def __init__(self, signer: Signer, name: str, clock: Clock) -> None:
        self._signer = signer
        self._name = name
        self._clock = clock
        self._token = ""
        self._until = 0.0

    async def token(self, renew: bool = False) -> str:
        """See `Access.token`."""
        if renew or self._clock() >= self._until:
            self._token, self._until = self._signer.token(self._name)
        return self._token


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """The private Ed25519 key of a PEM file. Raises: `settings_invalid`, OSError."""
    try:
        key: object = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise EcholiaError("settings_invalid", "not a private Ed25519 key in PEM")
    return key
