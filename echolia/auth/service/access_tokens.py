"""Access tokens: JWTs signed with Ed25519 by keys that rotate (`spec/auth.md#access-token`)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES, b64, unb64
from echolia.web.context import Caller, Dice

NAME: Final = "echolia"
ROTATION_MS: Final = 30 * 86_400_000
# Clocks of two starts may differ a little: an old key stays that much longer than it must.
LEEWAY_MS: Final = 60_000
LOOK_AGAIN_MS: Final = 1000
_CLAIMS: Final = ["iss", "aud", "sub", "dev", "iat", "exp"]


class SigningKeys(NamedTuple):
    """The key that signs, by its id, and every public key that still verifies."""

    signing_id: str
    signing: Ed25519PrivateKey
    verifying: Mapping[str, Ed25519PublicKey]


def load_keys(folder: Path, now_ms: int, lifetime_ms: int, dice: Dice = secrets.token_bytes) -> SigningKeys:
    """The keys in the folder (mode 0600, named `<made in ms>-<random>.pem`), rotated.

    A new one is made where there is none or the newest is older than 30 days; one is removed when its
    successor is older than any token it may have signed (`lifetime_ms`).
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = sorted((path.stem for path in folder.glob("*-*.pem")), key=_made_ms)
    if not names or now_ms - _made_ms(names[-1]) > ROTATION_MS:
        names.append(_make(folder, now_ms, dice))
    while len(names) > 1 and now_ms - _made_ms(names[1]) > lifetime_ms + LEEWAY_MS:
        (folder / f"{names.pop(0)}.pem").unlink()
    keys = {name: _read(folder / f"{name}.pem") for name in names}
    return SigningKeys(names[-1], keys[names[-1]], {name: key.public_key() for name, key in keys.items()})


def one_key(seed: bytes) -> SigningKeys:
    """The key of machines that share its seed (32 bytes). It rotates with what the seed is derived from:
    whoever has that could make every later key as well.
    """
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key()
    name = f"shared-{public.public_bytes_raw()[:8].hex()}"
    return SigningKeys(name, key, {name: public})


def _made_ms(name: str) -> int:
    made = name.partition("-")[0]
    return int(made) if made.isdecimal() else 0


def _make(folder: Path, now_ms: int, dice: Dice) -> str:
    name, key = f"{now_ms}-{dice(4).hex()}", Ed25519PrivateKey.from_private_bytes(dice(32))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Under another name first: half a key would keep the server from starting.
    part = folder / f"{name}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)
    part.rename(folder / f"{name}.pem")
    return name


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        key: object = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        # Nothing is lost with it: without the file the server makes a new one, and devices sign in again.
        raise EcholiaError("settings_invalid", f"{path.name} is no Ed25519 key; remove it")
    return key


class AccessTokens:
    """Makes and reads access tokens of `lifetime_s` seconds; `clock_ms` is the server's time.

    `again` loads the keys again, once a second at most: another process may have made one that is not known.
    """

    def __init__(
        self,
        keys: SigningKeys,
        lifetime_s: int,
        clock_ms: Callable[[], int],
        again: Callable[[], SigningKeys] | None = None,
    ) -> None:
        self._keys = keys
        self._again = again
        self._looked_ms = 0
        self._clock_ms = clock_ms
        self.lifetime_s = lifetime_s

    def issue(self, account: bytes, device: bytes, issued_ms: int) -> str:
        """A token for this device of this account; `issued_ms` tells whether it is older than a sign-out."""
        claims = {
            "iss": NAME,
            "aud": NAME,
            "sub": b64(account),
            "dev": b64(device),
            "iat": issued_ms / 1000,
            "exp": self._clock_ms() // 1000 + self.lifetime_s,
        }
        return jwt.encode(claims, self._keys.signing, "EdDSA", headers={"kid": self._keys.signing_id})

    def read(self, token: str) -> Caller:
        """Whom a token speaks for; raises `unauthorized` unless a key of ours signed it. Its end is not
        looked at.
        """
        try:
            key = self._key(jwt.get_unverified_header(token)["kid"])
            claims = jwt.decode(
                token,
                key,
                # One algorithm, whatever the header says: "none" and HS256 over our public key are refused
                # here.
                algorithms=["EdDSA"],
                audience=NAME,
                issuer=NAME,
                # The expiry is judged by the server's own clock at every use, not once by PyJWT's.
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False},
            )
            return _caller(claims)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, EcholiaError):
            raise EcholiaError("unauthorized") from None

    def _key(self, name: str) -> Ed25519PublicKey:
        now_ms = self._clock_ms()
        if name not in self._keys.verifying and self._again and now_ms - self._looked_ms >= LOOK_AGAIN_MS:
            self._looked_ms = now_ms
            self._keys = self._again()
        return self._keys.verifying[name]


def _caller(claims: Mapping[str, Any]) -> Caller:
    expires, issued = claims["exp"], claims["iat"]
    if type(expires) is not int or type(issued) not in (int, float):
        raise ValueError("a time is not a number")
    return Caller(
        unb64(claims["sub"], ID_BYTES), unb64(claims["dev"], ID_BYTES), expires, round(issued * 1000)
    )
