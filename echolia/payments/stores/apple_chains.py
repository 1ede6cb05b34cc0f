"""Whose signature counts: chains of certificates, judged by Apple's library and remembered for minutes.

The library's public methods verify a whole payload at once, and each time read it three times over. Of it we
use what judges a chain, which is not public: the lock holds its version, and the forgeries of the tests hold
what it does. `docs/decisions/0024-app-stores.md` says what is remembered, and for how long.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection
from threading import Lock
from typing import Final, NamedTuple, Protocol

from appstoreserverlibrary.signed_data_verifier import (
    VerificationException,
    VerificationStatus,
    _ChainVerifier,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from echolia.core.errors import EcholiaError
from echolia.payments.stores.fields import Malformed
from echolia.payments.stores.jws import Chain
from echolia.payments.stores.unavailable import StoreUnavailable

BELIEVED_MS: Final = 15 * 60_000
_MOST_BELIEVED: Final = 32  # Apple signs by a few
_LONGEST_CERTIFICATE: Final = 8 * 1024


class Unjudged(Exception):
    """Nobody has judged this chain of late, and judging would block."""


class Chains(Protocol):
    """What knows whose key a chain ends at."""

    def believed(self, chain: Chain) -> EllipticCurvePublicKey:
        """From memory. Raises: `Unjudged`."""
        ...

    def judged(self, chain: Chain) -> EllipticCurvePublicKey:
        """From memory or by asking the responders, which blocks. Raises: `Malformed`, `StoreUnavailable`."""
        ...


class _Believed(NamedTuple):
    key: EllipticCurvePublicKey
    until_ms: int


class AppleChains:
    """Chains of Apple's under these roots (DER)."""

    def __init__(self, roots: Collection[bytes], clock_ms: Callable[[], int]) -> None:
        texts = [b64encode(root).decode() for root in roots]
        if not texts or not all(_certificate(text) for text in texts):
            raise EcholiaError("settings_invalid", "a root of Apple's is no certificate in DER")
        self._roots = list(roots)
        self._root_texts = frozenset(texts)
        self._clock_ms = clock_ms
        self._chains: dict[Chain, _Believed] = {}
        self._lock = Lock()

    def believed(self, chain: Chain) -> EllipticCurvePublicKey:
        """See `Chains.believed`."""
        found = self._chains.get(chain)
        if found is None or self._clock_ms() >= found.until_ms:
            raise Unjudged
        return found.key

    def judged(self, chain: Chain) -> EllipticCurvePublicKey:
        """See `Chains.judged`."""
        try:
            return self.believed(chain)
        except Unjudged:
            pass
        now_ms = self._clock_ms()  # before the responders are asked: what they say is of then
        certificates = self._certificates(chain)
        key = _key_of(self._judge(chain, now_ms))
        ends = [int(one.not_valid_after_utc.timestamp() * 1000) for one in certificates]
        self._believe(chain, _Believed(key, min(now_ms + BELIEVED_MS, *ends)))
        return key

    def _certificates(self, chain: Chain) -> list[x509.Certificate]:
        """The leaf and the intermediate, where the third is one of the roots and each is written in the one
        way there is.

        The library never looks at the third. Each new text of a chain is judged anew, which costs two
        requests to Apple's responder, and is remembered.
        """
        found = [_certificate(text) for text in chain[:2]]
        certificates = [one for one in found if one is not None]
        if chain[2] not in self._root_texts or len(certificates) != len(found):
            raise Malformed
        return certificates

    def _judge(self, chain: Chain, now_ms: int) -> str:
        """The leaf's public key, as PEM. One of its own for each chain: it remembers nothing of others."""
        try:
            return _ChainVerifier(self._roots).verify_chain(list(chain), True, now_ms // 1000)
        except VerificationException as error:
            status = error.status
        except Exception:  # noqa: BLE001  # what is of another form ends in whatever the library met
            status = VerificationStatus.VERIFICATION_FAILURE
        if status == VerificationStatus.RETRYABLE_VERIFICATION_FAILURE:
            raise StoreUnavailable("unreachable")
        raise Malformed

    def _believe(self, chain: Chain, believed: _Believed) -> None:
        now_ms = self._clock_ms()
        with self._lock:
            for known in [known for known, one in self._chains.items() if one.until_ms <= now_ms]:
                del self._chains[known]
            while len(self._chains) >= _MOST_BELIEVED:
                del self._chains[next(iter(self._chains))]
            self._chains[chain] = believed


def _certificate(text: str) -> x509.Certificate | None:
    """None where it is none, or not written in the one way there is."""
    if len(text) > _LONGEST_CERTIFICATE:
        return None
    try:
        certificate = x509.load_der_x509_certificate(b64decode(text, validate=True))
        canonical = b64encode(certificate.public_bytes(Encoding.DER)).decode() == text
        return certificate if canonical else None
    except (ValueError, binascii.Error):
        return None


def _key_of(pem: str) -> EllipticCurvePublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Malformed  # ES256 is of this curve alone
    return key
