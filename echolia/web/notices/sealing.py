"""How notices look to whoever carries them: sealed, and all of one length (`spec/threat-model.md`)."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from echolia.core.errors import EcholiaError
from echolia.web.notices.form import Told, pack, unpack

KEY_BYTES: Final = SecretBox.KEY_SIZE


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


def load_key(path: Path) -> bytes:
    """The key in this file (mode 0600), made by whoever comes first; raises `settings_invalid`."""
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        # Nothing is lost with it: without the file the server makes a new one.
        raise EcholiaError("settings_invalid", f"{path.name} is no key; remove it")
    return key


def _make(path: Path) -> None:
    # Under another name first, then linked: of several processes one wins, and none reads half a key.
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
    with suppress(FileExistsError):
        os.link(part, path)
    part.unlink()
