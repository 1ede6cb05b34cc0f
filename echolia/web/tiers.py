"""What every account may have, as the settings say; and one tier for all, where nobody pays."""

from __future__ import annotations

from typing import Final

from echolia.settings import Settings
from echolia.web.context import ModelQuota, Quota

UNLIMITED: Final = Quota("unlimited")
# The tier of who pays nothing.
FREE: Final = "free"
MOST_DEVICES: Final = 10_000
UNLIMITED_MODELS: Final = ModelQuota("unlimited")
_LEAST_RESERVE_OBJECTS: Final = 100


class OneTier:
    """Implements the entitlements of `web.context`: all accounts have the same."""

    def __init__(
        self,
        quota: Quota = UNLIMITED,
        models: ModelQuota = UNLIMITED_MODELS,
        embeddings: ModelQuota = UNLIMITED_MODELS,
        devices: int = MOST_DEVICES,
    ) -> None:
        self._quota = quota
        self._models = models
        self._embeddings = embeddings
        self._devices = devices

    async def quota(self, account: bytes) -> Quota:  # noqa: ARG002  # the port's; here all are alike
        """See `web.context.Entitlements.quota`."""
        return self._quota

    async def models(self, account: bytes) -> ModelQuota:  # noqa: ARG002  # likewise
        """See `web.context.ModelEntitlements.models`."""
        return self._models

    async def embeddings(self, account: bytes) -> ModelQuota:  # noqa: ARG002  # likewise
        """See `web.context.EmbeddingEntitlements.embeddings`."""
        return self._embeddings

    async def devices(self, account: bytes) -> int:  # noqa: ARG002  # likewise
        """See `web.context.DeviceEntitlements.devices`."""
        return self._devices


def default_tier(settings: Settings) -> Quota:
    """The quota that the settings give."""
    return with_reserve(
        settings,
        Quota(FREE, settings.quota_bytes, settings.quota_objects, settings.quota_changes_per_minute),
    )


def with_reserve(settings: Settings, quota: Quota) -> Quota:
    """The quota with the room for pushes that free room, as the settings measure it."""
    percent = settings.quota_reserve_percent
    return quota._replace(
        reserve_bytes=max(settings.quota_reserve_bytes, quota.bytes * percent // 100),
        reserve_objects=max(_LEAST_RESERVE_OBJECTS, quota.objects * percent // 100),
    )


def default_models(settings: Settings) -> ModelQuota:
    """What the settings let an account ask of models."""
    return ModelQuota(
        tier=FREE,
        tokens_per_day=settings.llm_tokens_per_day,
        micro_usd_per_month=settings.llm_micro_usd_per_month,
        concurrent=settings.llm_concurrent,
    )


def default_embeddings(settings: Settings) -> ModelQuota:
    """What the settings let an account have embedded."""
    return ModelQuota(
        tier=FREE,
        tokens_per_day=settings.embeddings_tokens_per_day,
        concurrent=settings.embeddings_concurrent,
    )
