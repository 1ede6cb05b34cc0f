"""Answers: sealed chunk by chunk by the server, opened by the device as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from pyhpke import ContextInterface

from echolia.core.errors import EcholiaError
from echolia.sealed.chunks import FINAL_AAD, ChunkReader, chunk, final
from echolia.sealed.suites import Aead, Suite

# Far above any chunk that a server sends: a model's whole answer in one.
MOST_CHUNK_BYTES: Final = 8 * 1024 * 1024


class _Counted:
    """One direction of one exchange: an AEAD whose nonces count."""

    def __init__(self, aead: Aead, base: bytes) -> None:
        self._aead = aead
        self._base = int.from_bytes(base, "big")
        self._size = len(base)
        self._count = 0

    def next_nonce(self) -> bytes:
        """The nonce of the next chunk."""
        nonce = (self._base ^ self._count).to_bytes(self._size, "big")
        self._count += 1
        return nonce

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """The next chunk, sealed."""
        return self._aead.encrypt(self.next_nonce(), plain, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """The next chunk's plaintext. Raises: `sealed_invalid`."""
        try:
            return self._aead.decrypt(self.next_nonce(), sealed, aad)
        except InvalidTag:
            raise EcholiaError("sealed_invalid", "a chunk does not open") from None


class ResponseSealer:
    """Seals the answer to one request; `nonce` is random and begins the stream."""

    def __init__(self, suite: Suite, context: ContextInterface, enc: bytes, nonce: bytes) -> None:
        self.nonce = nonce
        self._counted = _Counted(*suite.response_keys(context, enc, nonce))

    def chunk(self, plain: bytes) -> bytes:
        """A chunk that others follow."""
        return chunk(self._counted.seal(plain, b""))

    def final(self, plain: bytes) -> bytes:
        """The last one."""
        return final(self._counted.seal(plain, FINAL_AAD))


class ResponseOpener:
    """Opens the answer to one request, whatever pieces it comes in; after one refusal nothing of it."""

    def __init__(self, suite: Suite, context: ContextInterface, enc: bytes) -> None:
        self._suite = suite
        self._context = context
        self._enc = enc
        self._nonce = b""
        self._counted: _Counted | None = None
        self._reader = ChunkReader(MOST_CHUNK_BYTES)
        self._refused = False

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return bool(self._nonce)

    def feed(self, more: bytes) -> Iterator[bytes]:
        """The plaintexts of chunks that are not final. Raises: `sealed_invalid`."""
        try:
            yield from self._fed(more)
        except EcholiaError:
            self._refused = True
            raise

    def _fed(self, more: bytes) -> Iterator[bytes]:
        if self._refused:
            raise EcholiaError("sealed_invalid", "a chunk before it did not open")
        if self._counted is None:
            needed = self._suite.key_bytes - len(self._nonce)
            self._nonce += more[:needed]
            more = more[needed:]
            if len(self._nonce) < self._suite.key_bytes:
                return
            keys = self._suite.response_keys(self._context, self._enc, self._nonce)
            self._counted = _Counted(*keys)
        for sealed in self._reader.feed(more):
            yield self._counted.open(sealed, b"")

    def end(self) -> bytes:
        """The plaintext of the final chunk, once the stream has ended.

        Raises: `sealed_truncated`, `sealed_invalid`.
        """
        if self._refused:
            raise EcholiaError("sealed_invalid", "a chunk before it did not open")
        last = self._reader.end()
        if self._counted is None:
            raise EcholiaError("sealed_truncated")
        return self._counted.open(last, FINAL_AAD)
