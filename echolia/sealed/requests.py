"""Requests: sealed by a device, opened by the server; what is left there opens or seals the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from pyhpke import ContextInterface, PyHPKEError

from echolia.core.errors import EcholiaError
from echolia.sealed.chunks import FINAL_AAD, ChunkReader, chunk, final
from echolia.sealed.responses import ResponseOpener, ResponseSealer
from echolia.sealed.suites import HEADER_BYTES, PUBLIC_BYTES, SUITE, Suite, key_pair, public_key, secret_key

MOST_CHUNKS: Final = 32
CHUNK_BYTES: Final = 16 * 1024
_BEGINS: Final = HEADER_BYTES + PUBLIC_BYTES

SecretOf = Callable[[int], bytes | None]


class Opened(NamedTuple):
    """A request's plaintext, the `enc` that nobody may send again, and what seals the answer."""

    plain: bytes
    enc: bytes
    answer: ResponseSealer

    def __repr__(self) -> str:
        """Nothing of what was sent."""
        return "Opened()"


def seal(
    key_id: int,
    public: bytes,
    plain: bytes,
    ephemeral: bytes,
    suite: Suite = SUITE,
    chunk_bytes: int = CHUNK_BYTES,
) -> tuple[bytes, ResponseOpener]:
    """A request to the key, and what opens its answer. `ephemeral` is 32 secret random bytes, used once.

    `chunk_bytes` of plaintext go into each chunk; the final one has what is left, which may be nothing.
    """
    header = suite.header(key_id)
    enc, context = suite.hpke.create_sender_context(
        public_key(public), suite.info(header), eks=key_pair(ephemeral)
    )
    parts, at = [header, enc], 0
    while len(plain) - at > chunk_bytes:
        parts.append(chunk(context.seal(plain[at : at + chunk_bytes])))
        at += chunk_bytes
    parts.append(final(context.seal(plain[at:], FINAL_AAD)))
    return b"".join(parts), ResponseOpener(suite, context, enc)


def open_request(request: bytes, secret_of: SecretOf, nonce: bytes, suite: Suite = SUITE) -> Opened:
    """A whole request. `secret_of` gives the secret of a key that is still opened for; `nonce` (as long as
    the suite's key) is random, for the answer.

    Raises: `sealed_invalid`, `unsupported_version`, `sealed_key_unknown`.
    """
    if len(request) < _BEGINS:
        raise EcholiaError("sealed_invalid", "too short")
    header, enc = request[:HEADER_BYTES], request[HEADER_BYTES:_BEGINS]
    if header != suite.header(header[0]):
        raise EcholiaError("unsupported_version", "another suite")
    secret = secret_of(header[0])
    if secret is None:
        raise EcholiaError("sealed_key_unknown")
    reader = ChunkReader(len(request))
    sealed = list(reader.feed(request[_BEGINS:]))
    try:
        last = reader.end()
    except EcholiaError:
        raise EcholiaError("sealed_invalid", "no final chunk") from None
    if len(sealed) > MOST_CHUNKS:
        raise EcholiaError("sealed_invalid", "too many chunks")
    key = secret_key(secret)
    opened = _opened(lambda: suite.hpke.create_recipient_context(enc, key, suite.info(header)), sealed, last)
    if opened is None:
        raise EcholiaError("sealed_invalid", "a chunk does not open")
    plain, context = opened
    return Opened(plain, enc, ResponseSealer(suite, context, enc, nonce))


def _opened(
    context: Callable[[], ContextInterface], sealed: list[bytes], last: bytes
) -> tuple[bytes, ContextInterface] | None:
    """The plaintext and the context, or None: what was raised within must not go along as a cause."""
    try:
        made = context()
        parts = [made.open(each) for each in sealed]
        return b"".join([*parts, made.open(last, FINAL_AAD)]), made
    except (PyHPKEError, ValueError):  # a key of small order is a ValueError
        return None
