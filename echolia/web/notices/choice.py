"""Which way notices go, by the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from echolia.settings import Settings
from echolia.storage.engine import Database
from echolia.storage.secret_files import load_key
from echolia.web.notices.database import DatabaseNotices
from echolia.web.notices.memory import MemoryNotices
from echolia.web.notices.port import Notices
from echolia.web.notices.sealing import Seal

NOTICES_KEY: Final = "notices.key"


def way_of(settings: Settings) -> str:
    """The adapter that `Settings.live` names; `auto` is Redis where there is an address of one, or else the
    PostgreSQL of the directory, or else its table where there are several workers.
    """
    if settings.live != "auto":
        return settings.live
    if settings.redis_url:
        return "redis"
    if settings.directory_url:
        return "postgres"
    return "database" if settings.workers > 1 else "memory"


def chosen(settings: Settings, directory: Database, clock_ms: Callable[[], int]) -> Notices:
    """The adapter that goes that way. Raises: `settings_invalid`."""
    match way_of(settings):
        case "redis":
            from echolia.web.notices.redis_channel import RedisNotices  # noqa: PLC0415  # who has one pays

            return RedisNotices(settings.redis_url, Seal(load_key(settings.data / NOTICES_KEY)))
        case "postgres":
            from echolia.storage.postgres.channel import Channel  # noqa: PLC0415  # likewise
            from echolia.storage.postgres.connections import Address  # noqa: PLC0415
            from echolia.web.notices.postgres import CHANNEL, PostgresNotices  # noqa: PLC0415

            address = Address(settings.directory_url, settings.directory_seconds)
            return PostgresNotices(Channel(address, CHANNEL, directory))
        case "database":
            return DatabaseNotices(directory, clock_ms)
        case _:
            return MemoryNotices()
