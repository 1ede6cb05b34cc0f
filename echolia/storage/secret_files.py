"""Secrets of 32 bytes in files of the data folder, made by whoever comes first."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.storage.sqlite.user_files import sync_file

SECRET_BYTES: Final = 32


def secret_in(path: Path, dice: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    """The secret in this file (mode 0600), made where there is none. Raises: `settings_invalid`, OSError."""
    if not path.exists():
        _make(path, dice)
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise EcholiaError("settings_invalid", f"{path.name} is no key of 32 bytes; put the right one back")
    return secret


def _make(path: Path, dice: Callable[[int], bytes]) -> None:
    # Under another name first, then linked: of several processes one wins, and none reads half a secret.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(dice(SECRET_BYTES))
    sync_file(part)
    with suppress(FileExistsError):
        os.link(part, path)
    part.unlink()
    sync_file(path)
