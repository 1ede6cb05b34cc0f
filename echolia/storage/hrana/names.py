"""What an account's database is called on a server: a pseudonym that only this installation can work out.

A server keeps names longer than databases (sqld's list of namespaces is not overwritten when one is deleted),
so the account's id is in none.
"""

from __future__ import annotations

import hmac
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Final

from echolia.storage.engine import StorageError
from echolia.storage.sqlite.user_files import ACCOUNT_BYTES, sync_file

# sqld takes a name with `..%2f` in it for a path, so what goes into an address is checked here.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEY_BYTES: Final = 32


class Names:
    """Names by a secret key of 32 bytes; without it nobody links one to an account, not even to its id."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, account: bytes) -> str:
        """The name of an account's database. Raises: StorageError where the id is not 16 bytes."""
        if len(account) != ACCOUNT_BYTES:
            raise StorageError("account id of another length")
        return checked("u-" + hmac.digest(self._key, account, sha256)[:16].hex())


def checked(name: str) -> str:
    """The name. Raises: StorageError `NAME_INVALID`, which does not say it."""
    if not _NAME.fullmatch(name):
        raise StorageError("NAME_INVALID")
    return name


def load_names(path: Path) -> Names:
    """Names by the key in this file (mode 0600), which is made where there is none.

    Raises: StorageError where the file holds none, OSError.
    """
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise StorageError("the key of the databases' names is damaged")
    return Names(key)


def _make(path: Path) -> None:
    # Under another name first: half a key would name other databases.
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
    sync_file(part)
    part.rename(path)
    sync_file(path)
