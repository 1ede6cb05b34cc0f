"""What the App Store signs, a JSON Web Signature in its compact form, read once.

Only in the one form that Apple writes: ES256, base64url without padding and in the one way there is, and
nothing in the header that would have to be understood. PyJWT looks at each character of the three parts by
itself, which takes ten times as long as to verify the signature.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from echolia.payments.stores.fields import Malformed
from echolia.payments.stores.json_object import json_object

Chain = tuple[str, str, str]

_LONGEST: Final = 256 * 1024
_NUMBER_BYTES: Final = 32  # a signature is two numbers of the curve P-256
_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})", re.ASCII)
_ES256: Final = ECDSA(SHA256())


@dataclass(frozen=True, slots=True)
class Jws:
    """What stands there: nothing of it is known to be true until its signature is verified."""

    chain: Chain = field(repr=False)
    unverified_claims: dict[str, object] = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def is_by(self, key: EllipticCurvePublicKey) -> bool:
        """Whether it was signed with the private key of this one, which is of the curve P-256."""
        r, s = (int.from_bytes(part, "big") for part in _halves(self.signature))
        try:
            key.verify(encode_dss_signature(r, s), self.signed, _ES256)
            return True
        except InvalidSignature:
            return False


def read_jws(text: str) -> Jws:
    """Raises: `Malformed`."""
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise Malformed
    header_part, claims_part, signature_part = found.groups()
    header = json_object(_decoded(header_part))
    x5c = header.get("x5c")
    if header.get("alg") != "ES256" or not header.keys().isdisjoint({"crit", "b64"}):
        raise Malformed
    if not isinstance(x5c, list) or len(x5c) != 3 or not all(isinstance(one, str) for one in x5c):
        raise Malformed
    signed = f"{header_part}.{claims_part}".encode()
    claims = json_object(_decoded(claims_part))
    return Jws((x5c[0], x5c[1], x5c[2]), claims, signed, _decoded(signature_part))


def _decoded(part: str) -> bytes:
    try:
        decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (ValueError, binascii.Error):
        decoded = b""
    # The bits that the last character has to spare would give one text many forms.
    spare = {2: 0x0F, 3: 0x03}.get(len(part) % 4, 0)
    if not decoded or _ALPHABET.index(part[-1]) & spare:
        raise Malformed
    return decoded


def _halves(signature: bytes) -> tuple[bytes, bytes]:
    return signature[:_NUMBER_BYTES], signature[_NUMBER_BYTES:]


_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
