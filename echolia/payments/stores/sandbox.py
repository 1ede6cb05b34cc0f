"""The sandbox store: signs its own purchases and notifications with a key of the data folder.

What it signs is text of two parts, `cbor.signature` in base64url; the CBOR says what it is, so that a receipt
is no notification.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from nacl.signing import SigningKey

from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.core.purchase_records import fact_of, record_of
from echolia.core.purchases import Fact, PurchaseKey
from echolia.core.signing import verify
from echolia.payments.stores.port import History, Notification, Received, StoreName, Voided
from echolia.payments.stores.sandbox_book import Book, Bought
from echolia.storage.secret_files import load_key

BOOK: Final = "sandbox-store.json"
_KEY: Final = "sandbox-store"
_LABEL: Final = b"echolia/1/sandbox-store"
_SIGNATURE_BYTES: Final = 64
_Kind = Literal["receipt", "notification"]


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs as the store."""

    key: SigningKey

    def receipt(self, subscription: Bought) -> str:
        """What a device is given for a purchase."""
        return self._signed("receipt", {"facts": [record_of(fact) for fact in subscription.facts]})

    def notification(self, id: str, kind: str, facts: Sequence[Fact], now_ms: int) -> str:
        """What the webhook is sent, as its member `signed`."""
        said = {"id": id, "kind": kind, "signed_ms": now_ms, "facts": [record_of(fact) for fact in facts]}
        return self._signed("notification", said)

    def opened(self, kind: _Kind, signed: str) -> Mapping[str, Any]:
        """What was signed. Raises ValueError, without the input."""
        body, _, signature = signed.partition(".")
        try:
            raw = unb64(body)
            held = verify(bytes(self.key.verify_key), _LABEL + raw, unb64(signature, _SIGNATURE_BYTES))
        except EcholiaError:
            raise ValueError("not signed") from None
        said = canonical.decode(raw) if held else None
        if not isinstance(said, dict) or said.get("is") != kind:
            raise ValueError("not signed")
        return said

    def _signed(self, kind: _Kind, said: Mapping[str, Any]) -> str:
        raw = canonical.encode({"is": kind, **said})
        return f"{b64(raw)}.{b64(self.key.sign(_LABEL + raw).signature)}"


def signer_of(data: Path) -> Signer:
    """The store's key of a data folder. Raises: `settings_invalid`."""
    folder = data / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Signer(SigningKey(load_key(folder / _KEY)))


class SandboxStore:
    """Implements `StorePort`."""

    def __init__(self, book: Book, signer: Signer) -> None:
        self._book = book
        self._signer = signer

    @property
    def name(self) -> StoreName:
        """See `StorePort.name`."""
        return "sandbox"

    async def verify_receipt(self, receipt: str) -> Received:
        """See `StorePort.verify_receipt`."""
        try:
            said = self._signer.opened("receipt", receipt)
        except ValueError:
            raise EcholiaError("receipt_invalid") from None
        purchase = PurchaseKey("sandbox", said["facts"][0]["original_transaction_id"])
        # What became of it since, as a store knows.
        later = await self.fetch(purchase)
        return Received(purchase, (*(fact_of(record) for record in said["facts"]), *later))

    async def verify_notification(self, headers: Mapping[bytes, bytes], body: bytes) -> Notification:  # noqa: ARG002  # signed as a whole
        """See `StorePort.verify_notification`."""
        try:
            return self._read(str(json.loads(body)["signed"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise EcholiaError("notification_invalid") from None

    async def fetch(self, purchase: PurchaseKey) -> Sequence[Fact]:
        """See `StorePort.fetch`."""
        found = self._book.all().get(purchase.id)
        return found.facts if found else ()

    async def acknowledge(self, purchase: PurchaseKey, product_id: str) -> None:
        """See `StorePort.acknowledge`: none is needed."""

    async def link(self, purchase: PurchaseKey, account_token: str) -> None:
        """See `StorePort.link`: it cannot."""

    async def missed(self, since_ms: int, until_ms: int, page: str = "") -> History:  # noqa: ARG002  # there is one page
        """See `StorePort.missed`."""
        said = [self._read(signed) for signed in self._book.undelivered()]
        return History([each for each in said if since_ms <= each.signed_ms <= until_ms], "")

    async def voided(self, since_ms: int, until_ms: int, page: str = "") -> Voided:  # noqa: ARG002  # it says so itself
        """See `StorePort.voided`."""
        return Voided((), "")

    async def close(self) -> None:
        """See `StorePort.close`: nothing is open."""

    def _read(self, signed: str) -> Notification:
        said = self._signer.opened("notification", signed)
        facts = tuple(fact_of(record) for record in said["facts"])
        return Notification(said["id"], said["kind"], "sandbox", said["signed_ms"], facts)


def sandbox_of(data: Path) -> SandboxStore:
    """The sandbox store of a data folder."""
    return SandboxStore(Book(data / BOOK), signer_of(data))
