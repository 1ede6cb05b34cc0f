"""How notices look to whoever carries them: sealed, and all of one length (`spec/threat-model.md`)."""

from __future__ import annotations

from hashlib import sha256

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from echolia.web.notices.form import Told, pack, unpack


class Seal:
    """Seals and opens notices under the key that all processes of one data folder share."""

    def __init__(self, key: bytes) -> None:
        self._box = SecretBox(key)
        # Who shares a Redis with other servers does not hear these.
        self.channel = f"echolia:{sha256(b'echolia/1/notices' + key).hexdigest()[:32]}"

    def close(self, told: Told) -> bytes:
        """The sealed bytes."""
        return bytes(self._box.encrypt(pack(told)))

    def open(self, sealed: bytes) -> Told | None:
        """What was told; None for bytes that were not sealed under this key."""
        try:
            packed = self._box.decrypt(sealed)
        except (CryptoError, ValueError):
            return None
        return unpack(packed)
