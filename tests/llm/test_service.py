"""An ask from its reservation to its settlement, whatever happens in between; on both engines."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from echolia.llm import store
from echolia.llm.catalogue import Model
from echolia.llm.providers.port import ProviderFailed, Text
from echolia.llm.service import LEFT, LlmService
from echolia.llm.trying import Trying
from echolia.sealed.frames import framed_request, unframed_response
from echolia.sealed.requests import open_request, seal
from echolia.sealed.responses import ResponseOpener
from echolia.sealed.suites import public_of
from echolia.storage.engine import Database, Result, Statement
from echolia.storage.reserve import Reserve, SparedDatabase
from echolia.web.context import ModelQuota
from echolia.web.sealed_door import Unsealed
from echolia.web.tiers import OneTier
from tests.llm.scripted import ENDED, Scripted, Step, catalogue, model, said
from tests.support.engine_fixtures import engine
from tests.support.engines import opened_directory
from tests.support.server import Clock

__all__ = ["engine"]  # each test runs on both engines

ANNA = bytes(range(16))
ASK = {"model": "a", "messages": [{"role": "user", "content": "Hm"}]}
# Two bytes and 64 a part, the message's frame and the system's: what `Hm` is reserved for.
WORST = 4 + 64 * 3


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Database]:
    """A directory with one account."""
    async with opened_directory(tmp_path) as db:
        await db.batch([Statement("INSERT INTO accounts VALUES (?, 0, 1, ?, 0)", (ANNA, bytes(32)))])
        yield db


def service(directory: Database, quota: ModelQuota, *models: Model, **providers: Scripted) -> LlmService:
    """The feature over scripted providers."""
    clock = Clock()
    trying = Trying(catalogue(*models, **providers), clock)
    tiers = OneTier(models=quota)
    return LlmService(directory, tiers, trying, lambda: int(clock() * 1000), random.Random(1).randbytes, 60)


def asked(ask: object) -> tuple[Unsealed, ResponseOpener]:
    """An ask in its seal, opened, and what opens the answer."""
    secret = bytes(31) + b"\1"
    request, opener = seal(0, public_of(secret), framed_request({"ask": ask}), random.randbytes(32))
    return Unsealed(ask, open_request(request, lambda _: secret, random.randbytes(32)).answer), opener


async def final(one: LlmService, ask: object = None, *, whole: bool = True) -> dict[str, object]:
    """How an answer ends."""
    unsealed, opener = asked(ask or ASK)
    pieces = [piece async for piece in one.answer(ANNA, unsealed, whole=whole)]
    _ = [list(opener.feed(piece)) for piece in pieces]
    return unframed_response(opener.end())


async def rows(directory: Database) -> list[tuple[str, str, int, int, int, int]]:
    """What was charged, when nothing is reserved any more."""
    (leases,) = await directory.batch([Statement("SELECT count(*) FROM llm_leases")], tx=False)
    assert leases.rows == [(0,)]
    found = await store.report(directory, ANNA, 0, 1 << 20)
    return [(row.model, row.status, row.requests, row.input, row.output, row.micro_usd) for row in found]


FREE = ModelQuota("free")


async def test_what_the_provider_counted_is_charged(directory: Database) -> None:
    one = service(directory, FREE, model("a", price=2), a=Scripted([said("yes")]))
    assert (await final(one))["cost_micro_usd"] == 30
    assert await rows(directory) == [("a", "ok", 1, 10, 5, 30)]
    await final(one)
    assert await rows(directory) == [("a", "ok", 2, 20, 10, 60)]


async def test_the_model_that_stood_in_is_charged(directory: Database) -> None:
    failing = Scripted([[ProviderFailed("upstream_credentials")]])
    one = service(
        directory, FREE, model("a", "b", price=9), model("b", price=1), a=failing, b=Scripted([said("yes")])
    )
    assert (await final(one))["model"] == "b"
    assert await rows(directory) == [("b", "ok", 1, 10, 5, 15)]


async def test_where_nobody_answered_nothing_is_charged(directory: Database) -> None:
    refusing = Scripted([[ProviderFailed("upstream_refused", status=400)]])
    one = service(directory, FREE, model("a", price=2), a=refusing)
    ended = await final(one)
    assert (ended["status"], ended["code"], ended["upstream"]) == (
        400, "upstream_refused", {"status": 400, "request_id": ""},
    )  # fmt: skip
    assert await rows(directory) == [("a", "upstream_refused", 1, 0, 0, 0)]


async def test_half_an_answer_is_charged_as_far_as_it_came(directory: Database) -> None:
    half: list[Step] = [Text("x" * 40), ProviderFailed("upstream_truncated")]
    one = service(directory, FREE, model("a", price=2), a=Scripted([half]))
    assert (await final(one))["code"] == "upstream_truncated"
    ((_, status, _, input_, output, cost),) = await rows(directory)
    assert (status, input_, output, cost) == ("upstream_truncated", 1, 10, 22)


@pytest.mark.parametrize("pieces", [0, 1])
async def test_who_hangs_up_ends_it_and_pays_for_what_was_said(directory: Database, pieces: int) -> None:
    never = asyncio.Event()
    provider = Scripted([[Text("x" * 40), never]])
    one = service(directory, FREE, model("a", price=2), a=provider)
    unsealed, _ = asked(ASK)
    answer = one.answer(ANNA, unsealed, whole=False)
    reading = asyncio.create_task(anext(answer))
    await reading
    for _ in range(pieces):
        following = asyncio.create_task(anext(answer))
        await asyncio.sleep(0.01)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    await answer.aclose()
    await one.close()
    assert provider.closed == 1
    ((_, status, _, input_, output, _),) = await rows(directory)
    assert (status, input_, output) == (LEFT, 1, 10)
    assert one.running == 0


class _Held(SparedDatabase):
    """A database whose unit of work `number`, from 0, waits for `gate`."""

    def __init__(self, db: Database, folder: Path, number: int) -> None:
        super().__init__(db, Reserve(folder, 0))
        self.gate, self.reached = asyncio.Event(), asyncio.Event()
        self._left = number

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """See `engine.Database.batch`."""
        self._left -= 1
        if self._left == -1:
            self.reached.set()
            await self.gate.wait()
        return await super().batch(statements, tx)


async def left_at(held: _Held, one: LlmService) -> None:
    """Somebody asks, and leaves when that unit of work is begun."""
    unsealed, _ = asked(ASK)
    answer = one.answer(ANNA, unsealed, whole=True)
    reading = asyncio.create_task(anext(answer))
    await held.reached.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    held.gate.set()
    await answer.aclose()
    await one.close()


async def test_who_hangs_up_before_there_is_room_asks_nobody_and_pays_nothing(
    directory: Database, tmp_path: Path
) -> None:
    provider, held = Scripted([said("yes")]), _Held(directory, tmp_path, 0)
    await left_at(held, service(held, FREE, model("a", price=2), a=provider))
    assert provider.asked == []
    assert await rows(directory) == [("a", LEFT, 1, 0, 0, 0)]


async def test_who_hangs_up_while_it_is_charged_pays_for_it(directory: Database, tmp_path: Path) -> None:
    held = _Held(directory, tmp_path, 1)
    await left_at(held, service(held, FREE, model("a", price=2), a=Scripted([said("yes")])))
    assert await rows(directory) == [("a", "ok", 1, 10, 5, 30)]


async def test_many_at_once_never_take_more_than_there_is(directory: Database) -> None:
    most = WORST + 100
    gate = asyncio.Event()
    provider = Scripted([[gate, Text("yes"), ENDED]])
    quota = ModelQuota("tight", tokens_per_day=3 * most)
    one = service(directory, quota, model("a"), a=provider)
    asking = [asyncio.create_task(final(one)) for _ in range(10)]
    while len(provider.asked) + sum(task.done() for task in asking) < 10:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    gate.set()
    ends = await asyncio.gather(*asking)
    assert sorted(end["status"] for end in ends) == [200] * 3 + [507] * 7  # type: ignore[type-var]
    assert {end["code"] for end in ends if end["status"] == 507} == {"quota_exceeded"}
    assert len(provider.asked) == 3
    assert (await rows(directory))[0][2:5] == (3, 30, 15)


async def test_so_many_at_a_time(directory: Database) -> None:
    gate = asyncio.Event()
    provider = Scripted([[gate, Text("yes"), ENDED]])
    one = service(directory, ModelQuota("one", concurrent=1), model("a"), a=provider)
    first = asyncio.create_task(final(one))
    await provider.until_asked()
    second = await final(one)
    assert (second["code"], second["retry_after_s"]) == ("rate_limited", 1)
    gate.set()
    assert (await first)["status"] == 200
    assert (await final(one))["status"] == 200


async def test_no_more_than_may_be_spent(directory: Database) -> None:
    quota = ModelQuota("poor", micro_usd_per_month=2 * (WORST + 100) + 10)
    one = service(directory, quota, model("a", price=1), a=Scripted([said("yes")]))
    assert [(await final(one))["status"] for _ in range(30)].count(200) == 21
    assert (await rows(directory))[0][5] == 21 * 15


async def test_what_a_crash_left_is_charged_its_request(directory: Database) -> None:
    one = service(directory, FREE, model("a", price=2), a=Scripted([said("yes")]))
    now_ms = one.clock_ms()
    lease = store.Lease(b"1" * 16, ANNA, "a", "own", now_ms + 1, 500, 1000, 7, 14)
    assert await store.reserve(directory, lease, FREE, now_ms)
    assert await store.sweep(directory, now_ms) == 0
    assert await store.sweep(directory, now_ms + 1) == 1
    assert await rows(directory) == [("a", "lost", 1, 7, 0, 14)]


async def test_it_is_settled_once(directory: Database) -> None:
    one = service(directory, FREE, model("a"), a=Scripted([said("yes")]))
    now_ms = one.clock_ms()
    lease = store.Lease(b"1" * 16, ANNA, "a", "own", now_ms + 1, 500, 1000, 7, 14)
    await store.reserve(directory, lease, FREE, now_ms)
    charge = store.Charge("a", "ok", "own", ENDED.usage, 3)
    for _ in range(3):
        await store.settle(directory, lease.id, lease.account, charge, now_ms)
    assert await store.sweep(directory, now_ms + 10) == 0
    assert await rows(directory) == [("a", "ok", 1, 10, 5, 3)]


async def test_an_account_that_is_gone_is_charged_nothing(directory: Database) -> None:
    gate = asyncio.Event()
    provider = Scripted([[gate, Text("yes"), ENDED]])
    one = service(directory, FREE, model("a"), a=provider)
    asking = asyncio.create_task(final(one))
    await provider.until_asked()
    await directory.batch([Statement("DELETE FROM accounts WHERE account = ?", (ANNA,))])
    gate.set()
    assert (await asking)["status"] == 200
    assert await rows(directory) == []
