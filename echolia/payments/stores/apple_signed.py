"""What the App Store signed: verified, and read as facts (`docs/decisions/0024-app-stores.md`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from echolia.core.purchases import AppleRenewal, AppleTransaction, Environment, Fact, purchase_of
from echolia.payments.stores.access import AppleAccess
from echolia.payments.stores.apple_facts import ENVIRONMENTS, renewal_of, transaction_of
from echolia.payments.stores.fields import Fields, Malformed
from echolia.payments.stores.jws import Chain, read_jws
from echolia.payments.stores.port import Notification

MOST_AHEAD_MS: Final = 5 * 60_000
_KIND: Final = re.compile(r"[A-Za-z0-9_/]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
# What a notification is about, of which there is one; it names the app and the environment.
_ABOUT: Final = ("data", "summary", "externalPurchaseToken", "appData")
T = TypeVar("T")


class Refused(Exception):
    """It is forged, another app's, of another environment, or not whole. It carries nothing of it."""


class SignedData:
    """Verifies for one app, in the environments that it was given.

    `key_of` gives the key of a chain of certificates, or raises: `Chains.believed` or `Chains.judged`.
    """

    def __init__(
        self,
        access: AppleAccess,
        key_of: Callable[[Chain], EllipticCurvePublicKey],
        clock_ms: Callable[[], int],
    ) -> None:
        self._access = access
        self._key_of = key_of
        self._clock_ms = clock_ms

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
        said = self._verified(signed)
        if said.text_or_none("bundleId") != self._access.bundle_id:
            raise Malformed
        return transaction_of(said, self._taken(said.text_or_none("environment")))

    def _renewal(self, signed: str, of: AppleTransaction) -> AppleRenewal:
        said = self._verified(signed)
        renewal = renewal_of(said, self._taken(said.text_or_none("environment")))
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
        said = self._verified(signed)
        environment = self._notified(said)
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

    def _verified(self, signed: str) -> Fields:
        """Its claims, once they are known to be Apple's. Raises: `Malformed`, and as `key_of`."""
        jws = read_jws(signed)
        claims = Fields(jws.unverified_claims)
        # Refused too if it is not there: everything that Apple signs has it.
        if claims.whole("signedDate") > self._clock_ms() + MOST_AHEAD_MS:
            raise Malformed
        if not jws.is_by(self._key_of(jws.chain)):
            raise Malformed
        return claims

    def _notified(self, said: Fields) -> Environment:
        """The environment of a notification, which has to be about this app."""
        about = next((one for name in _ABOUT if (one := said.object_or_none(name)) is not None), None)
        if about is None or about.text_or_none("bundleId") != self._access.bundle_id:
            raise Malformed
        environment = self._taken(_environment_of(about))
        if environment == "production" and about.whole("appAppleId") != self._access.app_apple_id:
            raise Malformed
        return environment

    def _taken(self, named: str | None) -> Environment:
        """An environment that was given: there is more of them, in which nothing is signed."""
        environment = ENVIRONMENTS.get(named or "")
        if environment is None or environment not in self._access.environments:
            raise Malformed
        return environment


def _reading(read: Callable[[], T]) -> T:
    try:
        return read()
    except Malformed:
        pass
    raise Refused


def _environment_of(about: Fields) -> str | None:
    """As it is named there; a token for purchases elsewhere has it in its id."""
    token = about.text_or_none("externalPurchaseId")
    if token is None:
        return about.text_or_none("environment")
    return "Sandbox" if token.startswith("SANDBOX") else "Production"


def _ends_unknown(fact: Fact, subtype: str | None) -> bool:
    """Whether it tells of a grace period and not of its end: then the store has to be asked."""
    if not isinstance(fact, AppleRenewal) or subtype != "GRACE_PERIOD":
        return False
    return fact.grace_expires_ms is None
