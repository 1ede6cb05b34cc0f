"""Thousands of asks of several accounts at once, with faults and readers who leave: each is counted, once.

`ECHOLIA_ASKS=10000` for the long run.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path

import pytest

from echolia.llm import store
from echolia.llm.catalogue import Catalogue
from echolia.llm.providers.port import (
    ABILITIES,
    Ask,
    Ended,
    Event,
    Provider,
    ProviderFailed,
    Text,
    Usage,
)
from echolia.llm.service import LlmService
from echolia.llm.trying import Trying
from echolia.sealed.frames import framed_request, unframed_response
from echolia.sealed.requests import open_request, seal
from echolia.sealed.suites import public_of
from echolia.storage.engine import Database, Statement
from echolia.web.context import ModelQuota
from echolia.web.sealed_door import Unsealed
from echolia.web.tiers import OneTier
from tests.llm.scripted import model
from tests.support.engine_fixtures import engine
from tests.support.engines import opened_directory
from tests.support.server import Clock

__all__ = ["engine"]  # it runs on both engines

ASKS = int(os.environ.get("ECHOLIA_ASKS", "600"))
AT_ONCE = 32
ACCOUNTS = [bytes([n]) * 16 for n in range(1, 6)]
SECRET = bytes(31) + b"\1"
# What an ask of two letters may come to at most, with the answer's hundred.
WORST = 4 + 64 * 3 + 100
QUOTA = ModelQuota("tight", tokens_per_day=WORST * ASKS // 40)
FAILURES = ("upstream_overloaded", "upstream_failed", "upstream_refused", "upstream_unreachable")


class Moody:
    """A `Provider` that does what chance says, and writes down what it counted of answers it ended."""

    abilities = frozenset(ABILITIES)

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.ended: list[Usage] = []
        self.running = 0

    async def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Fail, say something and break off, say something and never end, or answer."""
        await ask.admitted()
        self.running += 1
        try:
            fate = ask.messages[0].parts[0]
            assert isinstance(fate, Text)
            if self.chance.random() < 0.2:
                raise ProviderFailed(self.chance.choice(FAILURES))
            for _ in range(self.chance.randrange(4)):
                yield Text("word ")
                await asyncio.sleep(0)
            if fate.text == "no":  # its reader will leave
                yield Text("and ")
                await asyncio.Event().wait()
            if self.chance.random() < 0.1:
                raise ProviderFailed("upstream_truncated")
            usage = Usage(self.chance.randrange(1, 60), self.chance.randrange(1, 40))
            self.ended.append(usage)
            yield Ended("stop", usage)
        finally:
            self.running -= 1

    async def models(self) -> Sequence[str]:
        """None."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Database]:
    """A directory with these accounts."""
    async with opened_directory(tmp_path) as db:
        made = "INSERT INTO accounts VALUES (?, 0, 1, ?, 0)"
        await db.batch([Statement(made, (account, bytes(32))) for account in ACCOUNTS])
        yield db


async def ask(service: LlmService, account: bytes, chance: random.Random, leaves: bool) -> str:
    """One ask, to its end or until its reader leaves; how it ended."""
    said = {"model": "a", "messages": [{"role": "user", "content": "no" if leaves else "hm"}]}
    request, opener = seal(0, public_of(SECRET), framed_request({"ask": said}), chance.randbytes(32))
    opened = open_request(request, lambda _: SECRET, chance.randbytes(32))
    pieces = service.answer(
        account, Unsealed(said, opened.answer), whole=chance.random() < 0.5 and not leaves
    )
    async for piece in pieces:
        came = list(opener.feed(piece))
        if came and leaves:
            await pieces.aclose()
            return "left"
    return str(unframed_response(opener.end()).get("code", "ok"))


@pytest.mark.slow
async def test_each_ask_is_counted_once(directory: Database) -> None:
    chance, clock = random.Random(7), Clock()
    provider = Moody(chance)
    one: Provider = provider
    catalogue = Catalogue({"a": model("a", price=1)}, {"a": (one, one)})

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    service = LlmService(
        directory,
        OneTier(models=QUOTA),
        Trying(catalogue, clock, at_once),
        lambda: int(clock() * 1000),
        chance.randbytes,
        60,
    )
    left, ends = iter(range(ASKS)), Counter[str]()

    async def walk() -> None:
        for _ in left:
            clock.pass_s(1)
            ends[await ask(service, chance.choice(ACCOUNTS), chance, chance.random() < 0.15)] += 1

    await asyncio.gather(*(walk() for _ in range(AT_ONCE)))
    await service.close()
    rows = [row for account in ACCOUNTS for row in await store.report(directory, account, 0, 1 << 20)]
    (leases,) = await directory.batch([Statement("SELECT count(*) FROM llm_leases")], tx=False)
    assert leases.rows == [(0,)]
    assert (provider.running, service.running) == (0, 0)
    ok = [row for row in rows if row.status == "ok"]
    assert sum(row.requests for row in ok) == ends["ok"] == len(provider.ended)
    assert sum(row.input for row in ok) == sum(usage.input for usage in provider.ended)
    assert sum(row.output for row in ok) == sum(usage.output for usage in provider.ended)
    refused = ends["quota_exceeded"]
    assert sum(row.requests for row in rows) == ASKS - refused
    assert all(row.input > 0 for row in rows if row.status == "left")
    by_day = Counter[tuple[int, bytes]]()
    for account in ACCOUNTS:
        for row in await store.report(directory, account, 0, 1 << 20):
            by_day[row.day, account] += row.input + row.output
    assert max(by_day.values()) <= QUOTA.tokens_per_day
    assert min(ends["ok"], ends["left"], refused, ends["upstream_truncated"], ends["upstream_failed"]) > 0
