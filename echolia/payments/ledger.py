"""What the directory has of an account's purchases, told to its devices column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from echolia.payments.store import kept
from echolia.storage.engine import Database
from echolia.web.context import Fact, facts_of

_ENTITLED: Final = "What was paid for is looked up at each request."
_NAMED: Final = "A store says by a UUID whose a purchase is, without knowing the account."
_BOUGHT: Final = "The store is asked by it what has become of a purchase. Encrypted, found by a keyed hash."
_SAID: Final = "From it follows what the account has. Encrypted, found by a keyed hash."
_MOVED: Final = (
    "A purchase moves three times in 30 days at most, and whoever had it is told. Gone after that."
)
_PROVED: Final = "A restore that somebody recorded does nothing. Gone after a day."
_INBOX: Final = "Each notification counts once. Gone after 30 days; encrypted, and not kept by account."
_JOBS: Final = "What has to be done survives a crash; gone once it is done. Not kept by account."
# Place → what it is, and why it is needed.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "directory.entitlements.account": ("whether anything was ever bought", _ENTITLED),
    "directory.entitlements.revision": ("how often what is known of purchases changed", _ENTITLED),
    "directory.entitlements.projected": ("of which of these the tier is", _ENTITLED),
    "directory.entitlements.rules": ("by which settings", _ENTITLED),
    "directory.entitlements.tier": ("the tier", _ENTITLED),
    "directory.entitlements.until_ms": ("until when", _ENTITLED),
    "directory.store_accounts.token": ("keyed hashes of the account's UUIDs in stores", _NAMED),
    "directory.store_accounts.account": ("the account they are of", _NAMED),
    "directory.store_accounts.store": ("the stores", _NAMED),
    "directory.purchases.purchase": ("purchases, as keyed hashes of the stores' ids", _BOUGHT),
    "directory.purchases.store": ("the stores they are of", _BOUGHT),
    "directory.purchases.environment": ("whether they are real or a test", _BOUGHT),
    "directory.purchases.account": ("whose they are", _BOUGHT),
    "directory.purchases.sealed": ("the stores' ids, encrypted", _BOUGHT),
    "directory.purchases.predecessor": ("which of them replaced others", _BOUGHT),
    "directory.purchases.ends_ms": ("when they end", "The store is asked again around that time."),
    "directory.purchases.learnt_ms": ("when something was learnt of them", "What is nobody's is forgotten."),
    "directory.purchase_facts.fact": ("what stores said of the purchases", _SAID),
    "directory.purchase_facts.purchase": ("of which purchase", _SAID),
    "directory.purchase_facts.said_ms": ("when it was said last", "The newest counts."),
    "directory.purchase_facts.digest": ("keyed hashes of it", "Of two of one moment one is taken."),
    "directory.purchase_facts.linked": ("how much of it says that a purchase replaced another", _SAID),
    "directory.purchase_facts.unacknowledged": (
        "how many purchases the store does not know to be delivered",
        "It takes back what is not.",
    ),
    "directory.purchase_facts.sealed": ("what was said, encrypted", _SAID),
    "directory.purchase_transfers.transfer": ("purchases that other accounts restored", _MOVED),
    "directory.purchase_transfers.purchase": ("which, as keyed hashes", _MOVED),
    "directory.purchase_transfers.store": ("of which stores", _MOVED),
    "directory.purchase_transfers.from_account": ("from whom they came", _MOVED),
    "directory.purchase_transfers.at_ms": ("when", _MOVED),
    "directory.restore_proofs.proof": ("hashes of challenges that restored a purchase", _PROVED),
    "directory.restore_proofs.account": ("whose they were", _PROVED),
    "directory.restore_proofs.used_ms": ("when they were used", _PROVED),
    **{
        f"directory.payment_inbox.{column}": (what, _INBOX)
        for column, what in {
            "notification": "notifications of stores, as keyed hashes of their ids",
            "claim": "a random number for each",
            "store": "the stores",
            "environment": "real or a test",
            "kind": "what kinds they are of",
            "readable": "whether they could be understood",
            "signed_ms": "when stores signed them",
            "received_ms": "when they came",
            "sealed": "what they said, encrypted",
        }.items()
    },
    **{
        f"directory.jobs.{column}": (what, _JOBS)
        for column, what in {
            "job": "work that has to be done",
            "kind": "of what kind",
            "subject": "about which purchase, as a keyed hash, or which page of a store's list, encrypted",
            "due_ms": "when",
            "wanted": "how often it was asked for",
            "attempts": "how often it was tried",
            "lease_ms": "until when a process has it",
            "fence": "a random number of that process",
            "dead": "whether it was given up",
            "code": "why it failed last",
        }.items()
    },
    "memory.entitlements": ("whether the tier is remembered, for seconds", _ENTITLED),
    "nowhere.receipts": ("receipts that devices hand over", "What a store said in them is kept, encrypted."),
}
_OF_NOBODY: Final = "not kept by account"


class Remembers(Protocol):
    """What knows tiers for a moment."""

    @property
    def db(self) -> Database:
        """The directory."""
        ...

    def remembers(self, account: bytes) -> bool:
        """Whether it is in memory."""
        ...


@dataclass(frozen=True, slots=True)
class PaymentsLedger:
    """A `web.context.Keeper`."""

    tiers: Remembers

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`."""
        values: dict[str, Any] = await kept.of_account(self.tiers.db, account)
        rest = {
            place: _OF_NOBODY
            for place in WORDS
            if place.startswith(("directory.payment_inbox.", "directory.jobs."))
        }
        return facts_of(
            WORDS,
            {
                **values,
                **rest,
                "memory.entitlements": self.tiers.remembers(account),
                "nowhere.receipts": "not kept",
            },
        )
