"""What the account has for its purchases in app stores, and how it comes by them (`spec/payments.md`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

from echolia.client.replica import Replica
from echolia.client.session import Session
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import restore_message


class Purchase(NamedTuple):
    """A subscription in a store: what it is now, and until when it gives access (None: it gives none).

    `tier` is None where the server sells no such product; `next_product` is what it becomes when it renews.
    """

    store: str
    environment: str
    product: str
    tier: str | None
    status: str
    access_until_ms: int | None
    auto_renews: bool
    next_product: str | None
    ownership: str
    trial: bool
    price_increase: str
    entitles: bool


class Moved(NamedTuple):
    """A purchase that another account restored from this one, and when."""

    store: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """The account's tier, until when it is paid for (None: it is not), and what that comes from.

    `account_tokens` are UUIDs by store: the app gives the store's one with each purchase.
    """

    tier: str
    access_until_ms: int | None
    purchases: Sequence[Purchase]
    account_tokens: Mapping[str, str] = field(repr=False)
    moved: Sequence[Moved]


_PURCHASE: Final[Mapping[str, tuple[type, ...]]] = {
    "store": (str,), "environment": (str,), "product": (str,), "tier": (str, type(None)), "status": (str,),
    "access_until_ms": (int, type(None)), "auto_renews": (bool,), "next_product": (str, type(None)),
    "ownership": (str,), "trial": (bool,), "price_increase": (str,), "entitles": (bool,),
}  # fmt: skip
_MOVED: Final[Mapping[str, tuple[type, ...]]] = {"store": (str,), "at_ms": (int,)}


class Payments:
    """The account's purchases; get it as `device.payments`.

    told = await device.payments.subscription()
    print(told.tier, told.access_until_ms)
    """

    def __init__(self, replica: Replica, session: Session) -> None:
        self._identity = replica.identity
        self._session = session

    async def subscription(self) -> Subscription:
        """What the account has now, as the server says. Raises `server_unreachable`."""
        return subscription_of(await self._session.ask("GET", "/payments/subscription"))

    async def verify_receipt(self, store: str, receipt: str) -> Subscription:
        """Hand over what a store (`apple`, `google`) gave this device; the same again changes nothing.

        Raises `receipt_invalid`, `store_unknown`, `store_unavailable`, and `purchase_owned` where it is
        another account's: its person may then `restore` it.
        """
        body = {"store": store, "receipt": receipt}
        return subscription_of(await self._session.ask("POST", "/payments/verify-receipt", body))

    async def restore(self, store: str, receipt: str) -> Subscription:
        """Have a purchase here that belongs to another account, which is told; only where a person asks.

        Raises as `verify_receipt`, and `restore_limited` after three moves in 30 days.
        """
        challenge = await self._session.fresh_challenge()
        message = restore_message(self._identity.account, store, receipt, challenge)
        body = {
            "store": store,
            "receipt": receipt,
            "challenge": b64(challenge),
            "signature": b64(self._identity.keys.sign(message)),
        }
        return subscription_of(await self._session.ask("POST", "/payments/restore", body))


def subscription_of(said: Mapping[str, Any]) -> Subscription:
    """What an answer says. Raises: `server_invalid`."""
    tokens, until_ms = said.get("account_tokens"), said.get("access_until_ms")
    if not isinstance(said.get("tier"), str) or not isinstance(until_ms, int | None):
        _invalid("tier")
    if not isinstance(tokens, dict) or not all(isinstance(token, str) for token in tokens.values()):
        _invalid("account_tokens")
    purchases = [Purchase(*row) for row in _rows(said, "subscriptions", _PURCHASE)]
    moved = [Moved(*row) for row in _rows(said, "moved", _MOVED)]
    return Subscription(said["tier"], until_ms, purchases, tokens, moved)


def _rows(said: Mapping[str, Any], name: str, kinds: Mapping[str, tuple[type, ...]]) -> list[list[Any]]:
    rows = said.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        _invalid(name)
    for row in rows:
        if any(type(row.get(field)) not in allowed for field, allowed in kinds.items()):
            _invalid(name)
    return [[row[field] for field in kinds] for row in rows]


def _invalid(name: str) -> NoReturn:
    raise EcholiaError("server_invalid", name)
