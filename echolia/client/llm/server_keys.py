"""The keys that this device seals to: fetched, believed by its pins, kept while they are good."""

from __future__ import annotations

from echolia.client.environment import Environment
from echolia.client.replica import Replica
from echolia.client.session import Session, bytes_of
from echolia.core.errors import EcholiaError
from echolia.core.signing import PUBLIC_KEY_BYTES
from echolia.sealed.documents import KeyDocument, Pins, SealingKey, read_document

_PINS = "sealed_pins"


class ServerKeys:
    """What the server showed last; `ahead_ms` is how far its clock is ahead of this device's."""

    def __init__(self, replica: Replica, session: Session, environment: Environment) -> None:
        self._replica = replica
        self._session = session
        self._environment = environment
        self._document: KeyDocument | None = None
        self.ahead_ms = 0

    def now_ms(self) -> int:
        """The server's time, as far as is known."""
        return self._environment.now_ms() + self.ahead_ms

    async def key(self, *, fresh: bool = False) -> SealingKey:
        """The key to seal to; `fresh`: as the server shows it now.

        Raises: `sealed_keys_invalid`, `sealed_keys_untrusted`, `sealed_keys_stale`; as `Session.ask`.
        """
        if fresh or self._document is None or self._document.keys[0].until_ms <= self.now_ms():
            self._document = await self._fetch()
        return self._document.keys[0]

    async def pinned(self) -> Pins | None:
        """Who this device believes the server is, if it knows."""
        return await self._replica.run(self._pinned)

    async def pin(self, pins: Pins) -> None:
        """Believe these from now on. Raises: `sealed_keys_untrusted` where others are pinned."""
        if any(len(public) != PUBLIC_KEY_BYTES for public in pins):
            raise EcholiaError("sealed_keys_invalid", "an identity is 32 bytes")
        if await self.pinned() not in (None, pins):
            raise EcholiaError("sealed_keys_untrusted")
        await self._replica.run(self._pin, pins)

    async def _fetch(self) -> KeyDocument:
        told, date_ms = await self._session.dated("GET", "/llm/keys")
        document, signature = bytes_of(told, "document"), bytes_of(told, "signature")
        now_ms, pins = self._environment.now_ms(), await self.pinned()
        # The device's own clock says what is stale: the server's word is not signed.
        said = read_document(document, signature, pins, now_ms)
        if said.pins != pins:
            await self._replica.run(self._pin, said.pins)
        self.ahead_ms = date_ms - now_ms if date_ms else 0
        return said

    def _pinned(self) -> Pins | None:
        kept = self._replica.database.get(_PINS)
        return None if kept is None else Pins(kept[:PUBLIC_KEY_BYTES], kept[PUBLIC_KEY_BYTES:])

    def _pin(self, pins: Pins) -> None:
        with self._replica.database.transaction():
            self._replica.database.put(_PINS, pins.identity + pins.next)
