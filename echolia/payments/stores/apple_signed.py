"""What the App Store signed, verified by Apple's library and beyond it (`docs/decisions/0024-app-stores.md`).

All of it blocks: the library asks about revocation over HTTP. It runs in worker threads.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from appstoreserverlibrary.models.Environment import Environment as AppleEnvironment
from appstoreserverlibrary.signed_data_verifier import (
    SignedDataVerifier,
    VerificationException,
    VerificationStatus,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from echolia.core.errors import EcholiaError
from echolia.core.purchases import AppleRenewal, AppleTransaction, Environment, Fact, purchase_of
from echolia.payments.stores.access import AppleAccess
from echolia.payments.stores.apple_facts import ENVIRONMENTS, renewal_of, transaction_of
from echolia.payments.stores.fields import Fields, Malformed
from echolia.payments.stores.jws import Chain, read_jws
from echolia.payments.stores.port import Notification
from echolia.payments.stores.unavailable import StoreUnavailable

MOST_AHEAD_MS: Final = 5 * 60_000
_LONGEST_CERTIFICATE: Final = 8 * 1024
_CERTIFICATES: Final = 64  # Apple signs by a few; they come with all that it signs
_KIND: Final = re.compile(r"[A-Za-z0-9_/]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_IN_LIBRARY: Final = {
    "production": AppleEnvironment.PRODUCTION,
    "sandbox": AppleEnvironment.SANDBOX,
}  # fmt: skip
T = TypeVar("T")
_Verify = Callable[[SignedDataVerifier, str], object]
VerifierOf = Callable[[AppleAccess, Environment], SignedDataVerifier]


def online_verifier(access: AppleAccess, environment: Environment) -> SignedDataVerifier:
    """With online checks: without them the library judges a chain at the date that is claimed."""
    named = _IN_LIBRARY[environment]
    return SignedDataVerifier(list(access.roots), True, named, access.bundle_id, access.app_apple_id)


class Refused(Exception):
    """It is forged, another app's, of another environment, or not whole. It carries nothing of it."""


class _Verified(NamedTuple):
    said: Fields
    environment: Environment


class SignedData:
    """Verifies for one app, in the environments that it was given."""

    def __init__(self, access: AppleAccess, clock_ms: Callable[[], int], verifier_of: VerifierOf) -> None:
        if not access.roots or not all(_is_certificate(b64encode(root).decode()) for root in access.roots):
            raise EcholiaError("settings_invalid", "a root of Apple's is no certificate in DER")
        self._clock_ms = clock_ms
        self._roots = frozenset(b64encode(root).decode() for root in access.roots)
        self._verifiers: Mapping[Environment, SignedDataVerifier] = {
            environment: verifier_of(access, environment) for environment in access.environments
        }

    def transaction(self, signed: str) -> AppleTransaction:
        """Raises: `Refused`, `StoreUnavailable`."""
        return _reading(lambda: self._transaction(signed))

    def pair(self, signed_transaction: str, signed_renewal: str | None) -> tuple[Fact, ...]:
        """A transaction and the renewal info that came with it. Raises: `Refused`, `StoreUnavailable`."""
        return _reading(lambda: self._pair(signed_transaction, signed_renewal))

    def notification(self, signed: str) -> Notification:
        """A notification with all that is nested in it. Raises: `Refused`, `StoreUnavailable`."""
        return _reading(lambda: self._notification(signed))

    def _transaction(self, signed: str) -> AppleTransaction:
        verify = SignedDataVerifier.verify_and_decode_signed_transaction
        said, environment = self._verified(signed, verify, _own_environment)
        return transaction_of(said, environment)

    def _renewal(self, signed: str, of: AppleTransaction) -> AppleRenewal:
        verify = SignedDataVerifier.verify_and_decode_renewal_info
        said, environment = self._verified(signed, verify, _own_environment)
        renewal = renewal_of(said, environment)
        # It names no app: the transaction does, which was verified to be this app's.
        if purchase_of(renewal) != purchase_of(of):
            raise Malformed
        return renewal

    def _pair(self, signed_transaction: str, signed_renewal: str | None) -> tuple[Fact, ...]:
        transaction = self._transaction(signed_transaction)
        if signed_renewal is None:
            return (transaction,)
        return (transaction, self._renewal(signed_renewal, transaction))

    def _notification(self, signed: str) -> Notification:
        verify = SignedDataVerifier.verify_and_decode_notification
        said, environment = self._verified(signed, verify, _notified_environment)
        names = (said.text("notificationType"), said.text_or_none("subtype"))
        kind = "/".join(name for name in names if name)
        id_ = said.text("notificationUUID")
        if not _ID.fullmatch(id_):
            raise Malformed
        facts = self._nested(said.object_or_none("data"), environment)
        return Notification(
            id_,
            kind if _KIND.fullmatch(kind) else "unknown",
            environment,
            said.whole("signedDate"),
            facts,
            tuple(purchase_of(fact) for fact in facts if _ends_unknown(fact, names[1])),
        )

    def _nested(self, data: Fields | None, environment: Environment) -> tuple[Fact, ...]:
        if data is None:
            return ()
        transaction = data.long_text_or_none("signedTransactionInfo")
        renewal = data.long_text_or_none("signedRenewalInfo")
        if transaction is None:
            if renewal is not None:  # nothing would say whose it is
                raise Malformed
            return ()
        facts = self._pair(transaction, renewal)
        if any(purchase_of(fact).environment != environment for fact in facts):
            raise Malformed
        return facts

    def _verified(
        self, signed: str, verify: _Verify, environment_of: Callable[[Fields], str | None]
    ) -> _Verified:
        """Its claims, once they are known to be Apple's. Raises: `Malformed`, `StoreUnavailable`."""
        claimed = self._unverified(signed)
        environment = ENVIRONMENTS.get(environment_of(claimed) or "")
        verifier = self._verifiers.get(environment) if environment else None
        if environment is None or verifier is None:
            raise Malformed
        # Refused too if it is not there: everything that Apple signs has it.
        if claimed.whole("signedDate") > self._clock_ms() + MOST_AHEAD_MS:
            raise Malformed
        if not _library_verifies(lambda: verify(verifier, signed)):
            raise Malformed
        return _Verified(claimed, environment)

    def _unverified(self, signed: str) -> Fields:
        """Its claims as they stand there, where its form is one that the library may see."""
        jws = read_jws(signed)
        if not self._is_chain(jws.unverified_chain):
            raise Malformed
        return Fields(jws.unverified_claims)

    def _is_chain(self, x5c: Chain) -> bool:
        """Whether it is a chain of one of the roots, and written in the one way that there is.

        The library never looks at the third certificate, and remembers chains by their text for a quarter of
        an hour, before it looks at the signature: each new text of the same chain would cost two requests to
        Apple's responder and stay in memory.
        """
        return x5c[2] in self._roots and all(
            len(one) <= _LONGEST_CERTIFICATE and _is_certificate(one) for one in x5c[:2]
        )


@lru_cache(_CERTIFICATES)
def _is_certificate(text: str) -> bool:
    try:
        certificate = x509.load_der_x509_certificate(b64decode(text, validate=True))
        return b64encode(certificate.public_bytes(Encoding.DER)).decode() == text
    except (ValueError, binascii.Error):
        return False


def _library_verifies(verify: Callable[[], object]) -> bool:
    """Raises: `StoreUnavailable` where whether it is revoked cannot be asked."""
    try:
        verify()
        return True
    except VerificationException as error:
        status = error.status
    except Exception:  # noqa: BLE001  # what is of the wrong type ends in whatever the library met
        status = VerificationStatus.VERIFICATION_FAILURE
    if status == VerificationStatus.RETRYABLE_VERIFICATION_FAILURE:
        raise StoreUnavailable("unreachable")
    return False


def _reading(read: Callable[[], T]) -> T:
    try:
        return read()
    except Malformed:
        pass
    raise Refused


def _own_environment(claims: Fields) -> str | None:
    return claims.text_or_none("environment")


def _notified_environment(claims: Fields) -> str | None:
    for name in ("data", "summary", "appData"):
        if (about := claims.object_or_none(name)) is not None:
            return about.text_or_none("environment")
    token = claims.object_or_none("externalPurchaseToken")
    if token is None:
        return None
    sandbox = (token.text_or_none("externalPurchaseId") or "").startswith("SANDBOX")
    return "Sandbox" if sandbox else "Production"


def _ends_unknown(fact: Fact, subtype: str | None) -> bool:
    """Whether it tells of a grace period and not of its end: then the store has to be asked."""
    if not isinstance(fact, AppleRenewal) or subtype != "GRACE_PERIOD":
        return False
    return fact.grace_expires_ms is None
