"""How identifiers of stores rest: looked up by HMAC, readable by whoever has the key alone."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Any, Final

from nacl import bindings

from echolia.core import canonical
from echolia.core.purchase_records import fact_of, record_of
from echolia.core.purchases import Environment, Fact, FactKey, PurchaseKey, digest_of
from echolia.storage.engine import StorageError
from echolia.storage.secret_files import derived
from echolia.web.context import Dice

_NONCE_BYTES: Final = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of look-ups and of what is sealed; neither is in the database."""

    dice: Dice
    look_up: bytes = field(repr=False)
    sealing: bytes = field(repr=False)

    def of_purchase(self, store: str, purchase: PurchaseKey) -> bytes:
        """Under which a purchase is found."""
        return self._looked_up("purchase", store, purchase.environment, purchase.id)

    def of_fact(self, store: str, key: FactKey) -> bytes:
        """Under which the newest fact of a key is found."""
        return self._looked_up("fact", store, key.kind, key.environment, key.id)

    def of_notification(self, store: str, id: str) -> bytes:
        """Under which a notification is found."""
        return self._looked_up("notification", store, id)

    def of_account_token(self, store: str, token: str) -> bytes:
        """Under which the account of a UUID is found."""
        return self._looked_up("account token", store, token)

    def of_digest(self, fact: Fact) -> bytes:
        """What decides between two facts of one moment: nobody without the key can guess at it."""
        return self._looked_up("digest", digest_of(fact).hex())

    def account_token(self, store: str, account: bytes) -> str:
        """The account's UUID for a store: random to all but us, another for each store."""
        raw = bytearray(self._looked_up("uuid", store, account.hex())[:16])
        raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80  # version 4, as stores want them
        text = raw.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def seal(self, value: Any, about: bytes) -> bytes:
        """The sealed CBOR of a value, which opens as `about` alone."""
        return self._sealed(canonical.encode(value), about, self.dice(_NONCE_BYTES))

    def seal_alike(self, value: Any, about: bytes) -> bytes:
        """The same, and the same bytes each time: nobody without the key learns more than that."""
        plain = canonical.encode(value)
        nonce = hmac.digest(self.look_up, canonical.encode(["nonce", about, plain]), "sha256")
        return self._sealed(plain, about, nonce[:_NONCE_BYTES])

    def open(self, sealed: bytes, about: bytes) -> Any:
        """The value again. Raises: `storage_damaged`, where it is another's or the key has changed."""
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(body, about, nonce, self.sealing)
            return canonical.parse(plain)
        except Exception:  # noqa: BLE001  # the library's and the parser's own, which may repeat what they saw
            raise StorageError(code="storage_damaged") from None

    def seal_fact(self, fact: Fact, about: bytes) -> bytes:
        """A fact, sealed."""
        return self.seal(record_of(fact), about)

    def open_fact(self, sealed: bytes, about: bytes) -> Fact:
        """The fact again. Raises: `storage_damaged`."""
        return fact_of(self.open(sealed, about))

    def open_purchase(self, sealed: bytes, about: bytes) -> PurchaseKey:
        """A purchase's key again. Raises: `storage_damaged`."""
        return PurchaseKey(*self.open(sealed, about))

    def _sealed(self, plain: bytes, about: bytes, nonce: bytes) -> bytes:
        return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, about, nonce, self.sealing)

    def _looked_up(self, *words: str) -> bytes:
        return hmac.digest(self.look_up, canonical.encode(list(words)), "sha256")


def keys_from(key: bytes, dice: Dice) -> Keys:
    """The keys that come from a server's key for payments."""
    return Keys(dice, derived(key, "payments look-ups"), derived(key, "payments at rest"))


def environment_of(value: object) -> Environment:
    """An environment as a table has it."""
    return "production" if value == "production" else "sandbox"
