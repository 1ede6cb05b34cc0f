"""What the App Store signs, a JSON Web Signature in its compact form: read, and not verified.

Only in the one form that Apple writes: ES256, base64url without padding and in the one way there is, and
nothing in the header that would have to be understood. Apple's library verifies it (`apple_signed.py`); what
it may see of it, and what we read of it, is decided here, at a small part of what PyJWT's decoding costs.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Final

from echolia.payments.stores.fields import Malformed
from echolia.payments.stores.json_object import json_object

Chain = tuple[str, str, str]

_LONGEST: Final = 256 * 1024
_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})", re.ASCII)
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True)
class Jws:
    """What stands there: nothing of it is known to be true until its signature is verified."""

    unverified_chain: Chain = field(repr=False)
    unverified_claims: dict[str, object] = field(repr=False)


def read_jws(text: str) -> Jws:
    """Raises: `Malformed`."""
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise Malformed
    header, claims, _ = (_decoded(part) for part in found.groups())
    return Jws(_chain_of(json_object(header)), json_object(claims))


def _chain_of(header: dict[str, object]) -> Chain:
    x5c = header.get("x5c")
    if header.get("alg") != "ES256" or not header.keys().isdisjoint({"crit", "b64"}):
        raise Malformed
    if not isinstance(x5c, list) or len(x5c) != 3 or not all(isinstance(one, str) for one in x5c):
        raise Malformed
    return (x5c[0], x5c[1], x5c[2])


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
