"""Quotas over HTTP: the settings' limits, each refusal's document and header, the reserve's parameter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from echolia.settings import Settings
from echolia.web.tiers import OneTier, default_tier
from tests.support.asgi import Answer
from tests.support.members import Member
from tests.support.server import Clock, served

ONE = 174 + 42 + 256  # a run of one of a writer's smallest changes
MEMBERS = {"what", "used", "limit", "needed", "reserve"}
SMALL: dict[str, Any] = {"quota_reserve_bytes": ONE, "quota_reserve_percent": 0}


def told(answer: Answer) -> tuple[int, str, str | None, Any]:
    """A refusal in short."""
    document = answer.json()
    assert {name for name, value in document.items() if name in MEMBERS and isinstance(value, str)} == {
        "what"
    }
    return answer.status, answer.code, answer.headers.get("retry-after"), document["what"]


async def test_a_full_account(tmp_path: Path) -> None:
    async with served(tmp_path / "data", quota_bytes=2 * ONE, **SMALL) as ask:
        anna, ben = [await Member(ask, name).register() for name in ("anna", "ben")]
        assert [(await anna.push()).status for _ in range(2)] == [200, 200]
        assert told(await anna.push()) == (507, "quota_exceeded", "3600", "bytes")
        assert (await anna.acknowledge()).status == 204
        assert (await ask("POST", "/sync/pull", {}, token=anna.token)).status == 200
        assert (await ben.push()).status == 200
        anna.writer.changes.pop()
        assert told(await anna.push(body_bytes=1024)) == (413, "body_too_large", None, "bytes")
        anna.writer.changes.pop()
        assert (await anna.push(query="?reserve=1")).status == 200
        assert (await anna.account.delete(ask, anna.token)).status == 204


async def test_changes_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    async with served(tmp_path / "data", clock, quota_changes_per_minute=5) as ask:
        anna = await Member(ask, "anna").register()
        assert (await anna.push(count=4)).status == 200
        clock.pass_s(30)
        refused = await anna.push(count=2)
        assert told(refused) == (429, "rate_limited", "30", "changes_per_minute")
        assert (refused.json()["used"], refused.json()["limit"], refused.json()["needed"]) == (4, 5, 2)
        anna.writer.changes.pop()
        anna.writer.changes.pop()
        assert told(await anna.push(count=6)) == (413, "body_too_large", None, "changes_per_minute")


async def test_the_status_tells_the_quota(tmp_path: Path) -> None:
    async with served(tmp_path / "data", quota_objects=7, quota_bytes=0, **SMALL) as ask:
        anna = await Member(ask, "anna").register()
        await anna.push(count=3)
        assert (await ask("GET", "/sync/status", token=anna.token)).json()["quota"] == {
            "tier": "free",
            "bytes": {"used": ONE + 2 * (ONE - 174), "limit": None, "reserve": ONE},
            "objects": {"used": 3, "limit": 7, "reserve": 100},
            "changes_per_minute": {"used": 3, "limit": 300_000},
        }


@pytest.mark.parametrize("query", ["?reserve=2", "?reserve=", "?reserve=1&reserve=1", "?reserve=cAnArY%ff"])
async def test_another_reserve_is_refused(tmp_path: Path, query: str) -> None:
    async with served(tmp_path / "data") as ask:
        anna = await Member(ask, "anna").register()
        answer = await anna.push(query=query)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert b"cAnArY" not in answer.body
        assert (await anna.push(query="?other=%ff&%ff=1&=&;")).status == 200


@pytest.mark.parametrize(
    ("changed", "bytes_", "objects"),
    [
        ({}, (2**30, 2**30 // 20), (1_000_000, 50_000)),
        ({"quota_bytes": 2**20, "quota_objects": 1000}, (2**20, 2**20), (1000, 100)),
        ({"quota_reserve_percent": 50, "quota_reserve_bytes": 0}, (2**30, 2**29), (1_000_000, 500_000)),
    ],
)
async def test_the_default_tier_is_what_the_settings_say(
    changed: Mapping[str, int], bytes_: tuple[int, int], objects: tuple[int, int]
) -> None:
    quota = await OneTier(default_tier(Settings(**changed))).quota(b"anybody")
    assert (quota.bytes, quota.reserve_bytes) == bytes_
    assert (quota.objects, quota.reserve_objects) == objects
    assert (quota.tier, quota.changes_per_minute) == ("free", 300_000)
