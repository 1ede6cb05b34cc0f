"""Puts the payments feature together with what it needs of the others: keys, stores, proofs, jobs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from echolia.data_folder import payment_keys
from echolia.payments.catalogue import open_tiers
from echolia.payments.service.assembled import Payments, Stores, open_payments
from echolia.payments.service.entitlements import PaidTiers, environments_of
from echolia.payments.stores.choice import open_stores
from echolia.settings import Settings
from echolia.storage.engine import Database
from echolia.web.context import Dice, Proofs
from echolia.working import Workshop


class Paid(NamedTuple):
    """The payments feature, and what does its jobs."""

    payments: Payments
    workshop: Workshop


def open_tiers_of(
    settings: Settings, directory: Database, clock_ms: Callable[[], int], dice: Dice
) -> PaidTiers:
    """What accounts may have. Raises: `settings_invalid`."""
    return PaidTiers(
        directory, payment_keys(settings, dice), open_tiers(settings), environments_of(settings), clock_ms
    )


async def open_paid(
    stack: AsyncExitStack,
    settings: Settings,
    tiers: PaidTiers,
    stores: Stores | None,
    proofs: Proofs,
    clock_ms: Callable[[], int],
) -> Paid:
    """The payments feature. Raises: `settings_invalid`, `StorageError`."""
    taken = open_stores(settings, clock_ms) if stores is None else stores
    payments = open_payments(tiers, taken, proofs, clock_ms)
    stack.push_async_callback(payments.close)
    workshop = Workshop(tiers.db, payments.reconcilers.handlers(), clock_ms, tiers.keys.dice)
    await workshop.begin()
    return Paid(payments, workshop)
