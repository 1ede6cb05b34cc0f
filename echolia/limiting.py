"""How often somebody may ask, as the settings say: by account here, by network perhaps in a Redis."""

from __future__ import annotations

from collections.abc import Callable

from echolia.settings import Settings
from echolia.storage.secret_files import daily_keys
from echolia.web.limits import Limits
from echolia.web.networks import Networks, Origins


def limits_of(settings: Settings) -> dict[str, int]:
    """Requests a minute, by the name of the limit."""
    return {
        "register": settings.register_per_minute,
        "challenge": settings.challenge_per_minute,
        "token": settings.token_per_minute,
        "refresh": settings.refresh_per_minute,
        "mailbox": settings.mailbox_per_minute,
        "anonymous": settings.anonymous_per_minute,
        "account": settings.account_per_minute,
        "push": settings.push_per_minute,
        "pull": settings.pull_per_minute,
        "checkpoint": settings.checkpoint_per_minute,
        "ledger": settings.ledger_per_minute,
        "llm": settings.llm_per_minute,
        "embeddings": settings.embeddings_per_minute,
        "webhook": settings.webhook_per_minute,
    }


def networks_of(settings: Settings, clock: Callable[[], float], limits: Limits) -> Networks:
    """Limits by client network: of this process, or of all that share a Redis."""
    if not settings.redis_url:
        return Networks(Origins(settings.trusted_proxies, clock), limits)
    from echolia.web.redis_counts import RedisCounts  # noqa: PLC0415  # who has one pays

    origins = Origins(settings.trusted_proxies, clock, daily_keys(settings.data, "networks"))
    return Networks(origins, limits, RedisCounts(settings.redis_url, settings.redis_seconds))
