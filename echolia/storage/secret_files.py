"""Secrets of 32 random bytes in files of the data folder, and keys that are derived from one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from echolia.core.errors import EcholiaError
from echolia.storage.sqlite.user_files import sync_file

KEY_BYTES: Final = 32


def load_key(path: Path) -> bytes:
    """The key in this file (mode 0600), made by whoever comes first; raises `settings_invalid`."""
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        # Nothing is lost with it: without the file the server makes a new one.
        raise EcholiaError("settings_invalid", f"{path.name} is no key; remove it")
    return key


def derived(key: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose, from which nobody learns the other ones (HKDF, RFC 5869)."""
    return HKDF(SHA256(), KEY_BYTES, None, f"echolia/1/{purpose}".encode()).derive(key)


def daily_keys(folder: Path, name: str) -> Callable[[int], bytes]:
    """Keys that hold for a day (days since 1970): whoever begins one removes those of other days.

    Where there is no room for a file the key is one of this process alone.
    """

    def key_of(day: int) -> bytes:
        path = folder / f"{name}-{day}.key"
        try:
            key = load_key(path)
            for other in folder.glob(f"{name}-*.key"):
                if other != path:
                    other.unlink(missing_ok=True)
        except (OSError, EcholiaError):
            return secrets.token_bytes(KEY_BYTES)
        return key

    return key_of


def _make(path: Path) -> None:
    # Under another name first, then linked: of several processes one wins, and none reads half a key.
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        sync_file(part)
        with suppress(FileExistsError):
            os.link(part, path)
        sync_file(path)  # others believe what was signed by it: it must not be another after a crash
    finally:
        part.unlink(missing_ok=True)
