"""The only tier there is while nobody pays: every account may have what the settings say."""

from __future__ import annotations

from typing import Final

from echolia.settings import Settings
from echolia.web.context import ModelQuota, Quota

UNLIMITED: Final = Quota("unlimited")
UNLIMITED_MODELS: Final = ModelQuota("unlimited")
_LEAST_RESERVE_OBJECTS: Final = 100


class OneTier:
    """Implements the entitlements of `web.context`: all accounts have the same quotas."""

    def __init__(
        self,
        quota: Quota = UNLIMITED,
        models: ModelQuota = UNLIMITED_MODELS,
        embeddings: ModelQuota = UNLIMITED_MODELS,
    ) -> None:
        self._quota = quota
        self._models = models
        self._embeddings = embeddings

    async def quota(self, account: bytes) -> Quota:  # noqa: ARG002  # the port's; here all are alike
        """See `web.context.Entitlements.quota`."""
        return self._quota

    async def models(self, account: bytes) -> ModelQuota:  # noqa: ARG002  # likewise
        """See `web.context.ModelEntitlements.models`."""
        return self._models

    async def embeddings(self, account: bytes) -> ModelQuota:  # noqa: ARG002  # likewise
        """See `web.context.EmbeddingEntitlements.embeddings`."""
        return self._embeddings


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


def default_models(settings: Settings) -> ModelQuota:
    """What the settings let an account ask of models."""
    return ModelQuota(
        tier="default",
        tokens_per_day=settings.llm_tokens_per_day,
        micro_usd_per_month=settings.llm_micro_usd_per_month,
        concurrent=settings.llm_concurrent,
    )


def default_embeddings(settings: Settings) -> ModelQuota:
    """What the settings let an account have embedded."""
    return ModelQuota(
        tier="default",
        tokens_per_day=settings.embeddings_tokens_per_day,
        concurrent=settings.embeddings_concurrent,
    )
