"""The only tier there is while nobody pays: every account may have what the settings say."""

from __future__ import annotations

from typing import Final

from echolia.settings import Settings
from echolia.web.context import Quota

UNLIMITED: Final = Quota("unlimited")
_LEAST_RESERVE_OBJECTS: Final = 100


class OneTier:
    """Implements `web.context.Entitlements`: all accounts have the same quota."""

    def __init__(self, quota: Quota = UNLIMITED) -> None:
        self._quota = quota

    async def quota(self, account: bytes) -> Quota:  # noqa: ARG002  # the port's; here all are alike
        """See `web.context.Entitlements.quota`."""
        return self._quota


def default_tier(settings: Settings) -> Quota:
    """The quota that the settings give."""
    percent = settings.quota_reserve_percent
    return Quota(
        tier="default",
        bytes=settings.quota_bytes,
        objects=settings.quota_objects,
        changes_per_minute=settings.quota_changes_per_minute,
        reserve_bytes=max(settings.quota_reserve_bytes, settings.quota_bytes * percent // 100),
        reserve_objects=max(_LEAST_RESERVE_OBJECTS, settings.quota_objects * percent // 100),
    )
