"""Which way notices go is said by two settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.web.notices.choice import chosen
from tests.support.server import settings_for

URL = "redis://127.0.0.1:1/0"
POSTGRES = "postgresql://echolia:password@127.0.0.1:1/echolia"
NO_DATABASE: Any = None


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "MemoryNotices"),
        ({"redis_url": URL}, "RedisNotices"),
        ({"redis_url": "rediss://user:password@redis.example:6380"}, "RedisNotices"),
        ({"redis_url": "unix:///run/redis.sock"}, "RedisNotices"),
        ({"live": "redis", "redis_url": URL}, "RedisNotices"),
        ({"live": "memory", "redis_url": URL}, "MemoryNotices"),
        ({"live": "database"}, "DatabaseNotices"),
        ({"workers": 2}, "DatabaseNotices"),
        ({"workers": 2, "redis_url": URL}, "RedisNotices"),
        ({"workers": 2, "live": "memory"}, "MemoryNotices"),
        ({"directory_url": POSTGRES}, "PostgresNotices"),
        ({"directory_url": POSTGRES, "redis_url": URL}, "RedisNotices"),
        ({"directory_url": POSTGRES, "redis_url": URL, "live": "postgres"}, "PostgresNotices"),
        ({"directory_url": POSTGRES, "live": "database"}, "DatabaseNotices"),
    ],
)
async def test_the_way_that_is_chosen(tmp_path: Path, settings: dict[str, Any], name: str) -> None:
    notices = chosen(settings_for(tmp_path, **settings), NO_DATABASE, lambda: 0)
    assert type(notices).__name__ == name
    assert (tmp_path / "notices.key").exists() == (name == "RedisNotices")


@pytest.mark.parametrize(
    "settings",
    [
        *({"live": "redis"}, {"live": "postgres"}, {"live": "mail"}),
        *({"redis_url": "http://x"}, {"directory_url": "http://x"}),
    ],
)
def test_what_cannot_be_chosen(settings: dict[str, str]) -> None:
    with pytest.raises(EcholiaError, match="settings_invalid") as caught:
        Settings(**settings)
    assert "http" not in str(caught.value)


def test_an_address_may_hold_a_password_and_is_not_shown() -> None:
    assert "password" not in repr(Settings(redis_url="redis://:password@127.0.0.1", directory_url=POSTGRES))
