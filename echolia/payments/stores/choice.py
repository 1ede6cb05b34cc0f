"""The stores that the settings name: a further one is one more adapter and one more line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from echolia.payments.stores.port import StoreName, StorePort
from echolia.payments.stores.sandbox import sandbox_of
from echolia.settings import Settings


def open_stores(settings: Settings, _clock_ms: Callable[[], int]) -> Mapping[StoreName, StorePort]:
    """Every store that purchases are taken of, by its name. Raises: `settings_invalid`."""
    stores: dict[StoreName, StorePort] = {}
    if settings.sandbox_store:
        stores["sandbox"] = sandbox_of(settings.data)
    return stores
