"""Who this device is while its home is open: its keys, the account's secrets, the declared collections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType

from echolia.client.vault import Vault
from echolia.core.collections import COLLECTIONS, Collection
from echolia.core.errors import EcholiaError
from echolia.core.merge.text import MAX_PEER
from echolia.e2ee.keys import AccountSecrets, KeyPairs


@dataclass(frozen=True, slots=True)
class Identity:
    """`device` and `account` are ids of 16 bytes; `peer` names the device inside text documents."""

    device: bytes
    account: bytes
    peer: int
    keys: KeyPairs = field(repr=False)
    secrets: AccountSecrets = field(repr=False)
    declared: Mapping[str, Collection]
    streams: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, vault: Vault, collections: Iterable[Collection]) -> Identity:
        """The identity that a vault holds."""
        device = vault.keys.device
        declared = {**COLLECTIONS, **{collection.name: collection for collection in collections}}
        return cls(
            device,
            vault.secrets.account,
            int.from_bytes(sha256(b"echolia/1/text-peer" + device).digest()[:8], "big") % (MAX_PEER + 1),
            vault.keys,
            vault.secrets,
            MappingProxyType(declared),
            {name: vault.secrets.stream(name) for name in declared},
        )

    def renewed(self, vault: Vault) -> Identity:
        """The identity of the same home with other keys."""
        return Identity.of(vault, self.declared.values())

    def stream(self, collection: str) -> bytes:
        """The pseudonym (16 bytes) of a collection, declared here or not."""
        return self.streams.get(collection) or self.secrets.stream(collection)

    def collection(self, name: str) -> Collection:
        """The declaration; raises `collection_unknown`."""
        try:
            return self.declared[name]
        except KeyError:
            raise EcholiaError("collection_unknown", name) from None
