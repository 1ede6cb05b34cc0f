"""Vaults by the device's code: read from a file, and written again to the same bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from echolia.client.environment import Environment
from echolia.client.vault import Vault
from echolia.core.errors import EcholiaError
from tests.vectors.ends.rules import Dealt
from tests.vectors.ends.vector_file import Found, VectorFile
from tests.vectors.world import seed


@dataclass
class _Given:
    """The keychain of a vector."""

    kept: Mapping[str, str]

    def put(self, name: str, secret: bytes) -> None:
        """Nothing is put here."""
        raise AssertionError

    def get(self, name: str) -> bytes:
        """See `Keychain.get`."""
        if name not in self.kept:
            raise EcholiaError("keychain_unavailable")
        return bytes.fromhex(self.kept[name])

    def asks_nothing(self) -> bool:
        """See `Keychain.asks_nothing`."""
        return True


def opened(vector: VectorFile) -> Found:
    """What is in the vault, and how it is kept."""
    raw = vector.raw("vault")
    around = Environment(
        dice=Dealt(seed("vault nonce")[:24]), keychain=lambda: _Given(vector.given["keychain"])
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vault"
        path.write_bytes(raw)
        vault = asyncio.run(Vault.load(path, vector.given["passphrase"], around))
        vault.save(path)
        assert path.read_bytes() == raw
    keys = vault.keys
    found = {"server": vault.server, "sign": keys.sign_secret, "box": keys.box_secret}
    return {**found, "secrets": vault.secrets.encode(), "kept": vault.keeping.kept}
