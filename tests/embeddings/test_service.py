"""Requests to embed from their seal to their vectors, and each way in which none come; on both engines."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from echolia.core.embedding_place import NEEDED_BYTES, Capability
from echolia.core.ids import b64, unb64
from echolia.core.model_identity import packed, unpacked
from echolia.embeddings.backlog import Backlog
from echolia.embeddings.service import EmbeddingService
from echolia.embeddings.workers import NICE, Workers
from echolia.engines.deterministic import DeterministicEngine
from echolia.engines.port import Engine
from echolia.engines.whole_texts import embed_texts
from echolia.llm import store
from echolia.llm.meter import EmbeddingMeter
from echolia.sealed.frames import framed_request, unframed_response
from echolia.sealed.requests import open_request, seal
from echolia.sealed.responses import ResponseOpener
from echolia.sealed.suites import public_of
from echolia.storage.engine import Database, Statement
from echolia.web.context import ModelQuota
from echolia.web.sealed_door import Unsealed
from echolia.web.tiers import OneTier
from tests.embeddings.paused import LateMeter, PausedEngine, until
from tests.support.engine_fixtures import engine
from tests.support.engines import opened_directory
from tests.support.server import Clock

__all__ = ["engine"]  # each test runs on both engines

ANNA, BEN = bytes(range(16)), bytes(range(1, 17))
MODEL = DeterministicEngine()
IDENTITY = b64(MODEL.model.identity.digest)
FREE = ModelQuota("free")
LONG = "a word " * 600


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Database]:
    """A directory with two accounts."""
    async with opened_directory(tmp_path) as db:
        for account in (ANNA, BEN):
            await db.batch([Statement("INSERT INTO accounts VALUES (?, 0, 1, ?, 0)", (account, account * 2))])
        yield db


@asynccontextmanager
async def service(
    directory: Database,
    embeds: Engine = MODEL,
    quota: ModelQuota = FREE,
    queue: int = 1000,
    longest_s: float = 30,
) -> AsyncIterator[EmbeddingService]:
    """The feature over an engine."""
    clock, backlog = Clock(), Backlog(queue)
    meter = EmbeddingMeter(directory, lambda: int(clock() * 1000), random.Random(1).randbytes)
    one = EmbeddingService(Workers(embeds, backlog, 1), backlog, OneTier(embeddings=quota), meter, longest_s)
    try:
        yield one
    finally:
        if isinstance(embeds, PausedEngine):
            embeds.go.set()
        await one.close()


def asked(ask: object) -> tuple[Unsealed, ResponseOpener]:
    """An ask in its seal, opened, and what opens the answer."""
    secret = bytes(31) + b"\1"
    request, opener = seal(0, public_of(secret), framed_request({"ask": ask}), random.randbytes(32))
    return Unsealed(ask, open_request(request, lambda _: secret, random.randbytes(32)).answer), opener


async def final(one: EmbeddingService, ask: Mapping[str, Any], account: bytes = ANNA) -> dict[str, Any]:
    """How an answer ends."""
    unsealed, opener = asked({"identity": IDENTITY, **ask})
    pieces = [piece async for piece in one.answer(account, unsealed, one="text" in ask)]
    _ = [list(opener.feed(piece)) for piece in pieces]
    return unframed_response(opener.end())


async def rows(directory: Database) -> list[tuple[str, str, str, int, int]]:
    """What was charged, when nothing is reserved any more."""
    (leases,) = await directory.batch([Statement("SELECT count(*) FROM llm_leases")], tx=False)
    assert leases.rows == [(0,)]
    found = await store.report(directory, ANNA, 0, 1 << 20)
    return [(row.model, row.prices, row.status, row.requests, row.input) for row in found]


async def test_vectors_are_those_of_the_engine_and_tokens_are_charged(directory: Database) -> None:
    texts = ["Rain in the garden", LONG, "hm"]
    async with service(directory) as one:
        ended = await final(one, {"texts": texts})
        (alone,) = (await final(one, {"text": "hm"}))["vectors"]
    expected = embed_texts(MODEL, texts)
    assert [unpacked(unb64(vector), 256) for vector in ended["vectors"]] == expected
    assert unpacked(unb64(alone), 256) == expected[2]
    assert (ended["status"], ended["identity"], ended["where"]) == (200, IDENTITY, "server")
    tokens = 4 + 1200 + 5 * 32 + 1
    assert ended["tokens"] == tokens
    assert await rows(directory) == [("deterministic-1", "embeddings", "ok", 2, tokens + 1)]
    assert ended["quota"]["tokens_per_day"] == {"used": tokens, "limit": None}


@pytest.mark.parametrize(
    "ask",
    [
        {},
        {"text": ""},
        {"text": 1},
        {"text": ["a"]},
        {"texts": []},
        {"texts": ["a", ""]},
        {"texts": ["a"] * 129},
        {"texts": "a"},
        {"text": "a", "texts": ["a"]},
        {"text": "a", "more": 1},
        {"text": "a", "identity": "kurz"},
        {"text": "a", "identity": None},
        {"text": "a", "within_s": 0},
        {"text": "a", "within_s": 61},
        {"text": "a", "within_s": True},
        {"text": "a", "capability": None},
        {"text": "a", "capability": {"cores": 1}},
        {"text": "a", "capability": {**Capability(1, 1).as_json(), "power": "wind"}},
        {"text": "a", "capability": {**Capability(1, 1).as_json(), "installed": ["x"]}},
    ],
)
async def test_what_is_no_ask_is_refused(directory: Database, ask: Mapping[str, Any]) -> None:
    async with service(directory) as one:
        ended = await final(one, ask)
    assert (ended["status"], ended["code"]) == (400, "ask_invalid")
    assert await rows(directory) == []


async def test_another_model_is_not_there(directory: Database) -> None:
    other = b64(DeterministicEngine("2").model.identity.digest)
    async with service(directory) as one:
        assert (await final(one, {"text": "a", "identity": other}))["code"] == "model_unknown"


async def test_too_long_a_text_is_refused(directory: Database) -> None:
    async with service(directory) as one:
        ended = await final(one, {"text": "a " * 130_000})
    assert (ended["status"], ended["code"]) == (413, "embedding_too_long")
    assert await rows(directory) == []


async def test_tokens_of_the_day_are_bounded_and_are_not_those_of_asks(directory: Database) -> None:
    async with service(directory, quota=ModelQuota("small", tokens_per_day=5)) as one:
        now_ms = one.meter.clock_ms()  # type: ignore[attr-defined]  # the adapter's
        lease = store.Lease(bytes(16), ANNA, "a", "own", now_ms + 10_000, 1000, 0, 0, 0)
        assert await store.reserve(directory, lease, FREE, now_ms)
        assert (await final(one, {"text": "one two three"}))["status"] == 200
        ended = await final(one, {"text": "one two three"})
        assert (ended["status"], ended["code"]) == (507, "quota_exceeded")
        assert ended["quota"]["tokens_per_day"] == {"used": 3, "limit": 5}
        assert (await final(one, {"text": "one two"}))["status"] == 200
        assert (await store.used(directory, ANNA, now_ms)).tokens == 1000


async def test_who_has_nothing_left_has_one_call_in_vain_and_no_more(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds, ModelQuota("small", tokens_per_day=5)) as one:
        one.meter = late = LateMeter(one.meter)
        first = asyncio.create_task(final(one, {"text": "one two three four five six"}))
        await until(lambda: bool(embeds.calls))
        late.go.set()
        assert (await first)["code"] == "quota_exceeded"
        embeds.go.set()
        late.go.clear()
        again = asyncio.create_task(final(one, {"text": "one two three four five six"}))
        done, _ = await asyncio.wait({again}, timeout=0.2)
        assert not done and len(embeds.calls) == 1
        late.go.set()
        assert (await again)["code"] == "quota_exceeded"
        for text in ("one", "two"):  # the first is reserved before it waits
            assert (await final(one, {"text": text}))["status"] == 200


async def test_requests_at_a_time_are_bounded(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds, ModelQuota("small", concurrent=1)) as one:
        first = asyncio.create_task(final(one, {"text": "a"}))
        await until(lambda: bool(embeds.calls))
        ended = await final(one, {"text": "b"})
        assert (ended["status"], ended["code"], ended["retry_after_s"]) == (429, "rate_limited", 1)
        embeds.go.set()
        assert (await first)["status"] == 200


async def test_a_full_queue_refuses_and_says_when_to_come_back(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds, queue=8) as one:
        held = asyncio.create_task(final(one, {"text": "a"}))
        await until(lambda: bool(embeds.calls))
        waiting = [asyncio.create_task(final(one, {"texts": ["b"] * 4}, account)) for account in (ANNA, BEN)]
        await until(lambda: one.backlog.waiting == 8)
        own = await final(one, {"text": "c"})
        assert (own["status"], own["code"], own["retry_after_s"]) == (429, "rate_limited", 2)
        embeds.go.set()
        ended = await asyncio.gather(held, *waiting)
        assert [each["status"] for each in ended] == [200] * 3
    assert {status for _, _, status, *_ in await rows(directory)} == {"ok"}  # who is refused writes nothing


async def test_a_stranger_is_refused_where_all_is_full(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds, queue=2) as one:
        held = [asyncio.create_task(final(one, {"text": "a"}))]
        await until(lambda: bool(embeds.calls))
        held.append(asyncio.create_task(final(one, {"texts": ["a"] * 2})))
        await until(lambda: one.backlog.waiting == 2)
        ended = await final(one, {"text": "b"}, BEN)
        assert (ended["status"], ended["code"], ended["retry_after_s"]) == (503, "embeddings_busy", 2)
        embeds.go.set()
        await asyncio.gather(*held)


async def test_who_could_do_it_is_sent_away_when_half_is_full(directory: Database) -> None:
    embeds = PausedEngine()
    able = Capability(NEEDED_BYTES, 2, installed=frozenset({MODEL.model.identity.digest}))
    async with service(directory, embeds, queue=6) as one:
        held = [asyncio.create_task(final(one, {"text": "a"}))]
        await until(lambda: bool(embeds.calls))
        held.append(asyncio.create_task(final(one, {"texts": ["a"] * 3})))
        await until(lambda: one.backlog.waiting == 3)
        ended = await final(one, {"text": "b", "capability": able.as_json()}, BEN)
        assert (ended["code"], ended["detail"]) == ("embeddings_busy", "the device can do it")
        weak = asyncio.create_task(final(one, {"text": "b", "capability": Capability(1, 1).as_json()}, BEN))
        await until(lambda: one.backlog.waiting == 4)
        embeds.go.set()
        assert (await weak)["where"] == "server"
        await asyncio.gather(*held)
        ended = await final(one, {"text": "b", "capability": able.as_json()})
        assert (ended["status"], ended["where"]) == (200, "device")


async def test_what_is_not_done_in_time_is_told_and_makes_room(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds, longest_s=0.05) as one:
        async with asyncio.timeout(20):
            ended = await asyncio.gather(*(final(one, {"texts": [LONG, "b"]}) for _ in range(2)))
        assert {(each["status"], each["code"]) for each in ended} == {(503, "embeddings_late")}
        assert one.backlog.waiting == 0
        embeds.go.set()
    assert await rows(directory) == [("deterministic-1", "embeddings", "embeddings_late", 2, 0)]


async def test_who_hangs_up_leaves_nothing_waiting_and_pays_nothing(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds) as one:
        unsealed, _ = asked({"identity": IDENTITY, "texts": [LONG]})
        answer = one.answer(ANNA, unsealed, one=False)
        first = asyncio.create_task(anext(answer))
        await until(lambda: bool(embeds.calls))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await answer.aclose()
        assert one.backlog.waiting == 0
    assert await rows(directory) == [("deterministic-1", "embeddings", "left", 1, 0)]


async def test_nobody_is_answered_before_it_is_reserved(directory: Database) -> None:
    embeds = PausedEngine()
    embeds.go.set()
    async with service(directory, embeds) as one:
        one.meter = late = LateMeter(one.meter)
        asking = asyncio.create_task(final(one, {"text": "a"}))
        await until(lambda: bool(embeds.calls))
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done and not late.reserved
        late.go.set()
        assert (await asking)["status"] == 200
    assert await rows(directory) == [("deterministic-1", "embeddings", "ok", 1, 1)]


async def test_who_hangs_up_while_it_is_reserved_keeps_nothing_reserved(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds) as one:
        one.meter = late = LateMeter(one.meter)
        asking = asyncio.create_task(final(one, {"text": "a"}))
        await until(lambda: bool(embeds.calls))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert one.backlog.waiting == 0 and not late.reserved
        late.go.set()
        await until(lambda: bool(late.reserved))
    assert await rows(directory) == [("deterministic-1", "embeddings", "left", 1, 0)]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux")
async def test_threads_that_embed_stand_back(directory: Database) -> None:
    embeds = PausedEngine()
    embeds.go.set()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    async with service(directory, embeds) as one:
        await final(one, {"text": "a"})
    assert embeds.nice == {min(own + NICE, 19)} and os.getpriority(os.PRIO_PROCESS, 0) == own


async def test_an_engine_that_fails_says_nothing_and_goes_on(directory: Database) -> None:
    embeds = PausedEngine()
    embeds.go.set()
    embeds.fails = True
    async with service(directory, embeds) as one:
        ended = await final(one, {"texts": [LONG, "b"]})
        assert ended == {"status": 500, "code": "internal"}
        assert one.backlog.waiting == 0
        embeds.fails = False
        assert (await final(one, {"text": "b"}))["status"] == 200


async def test_what_fails_for_one_does_not_fail_for_who_went_along(directory: Database) -> None:
    embeds = PausedEngine()
    embeds.fails_on = [MODEL.tokens(["c"])[0]]
    async with service(directory, embeds) as one:
        held = asyncio.create_task(final(one, {"text": "many more words than one"}))
        await until(lambda: bool(embeds.calls))
        texts = ("b", "c", "d")
        along = [asyncio.create_task(final(one, {"text": text}, BEN)) for text in texts]
        await until(lambda: one.backlog.waiting == 3)
        embeds.go.set()
        ended = await asyncio.gather(*along)
        assert [each["status"] for each in ended] == [200, 500, 200]
        assert ended[0]["vectors"] == [b64(packed(embed_texts(MODEL, ["b"])[0]))]
        await held
    together = sorted(map(list, MODEL.tokens(texts)))
    assert together in [sorted(map(list, call)) for call in embeds.calls]


async def test_a_short_request_waits_for_no_more_than_one_turn(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds) as one:
        long = asyncio.create_task(final(one, {"texts": ["many words " * 120] * 50}))
        await until(lambda: bool(embeds.calls))
        short = asyncio.create_task(final(one, {"text": "hm"}, BEN))
        await until(lambda: one.backlog.waiting == 50)
        embeds.go.set()
        assert (await short)["status"] == (await long)["status"] == 200
    sizes = [[len(window) for window in call] for call in embeds.calls]
    assert [1] in sizes[:4]


async def test_the_end_of_the_server_is_told_to_who_waits(directory: Database) -> None:
    embeds = PausedEngine()
    async with service(directory, embeds) as one:
        waiting = [asyncio.create_task(final(one, {"text": text})) for text in ("a", "a b c d e f")]
        await until(lambda: one.backlog.waiting == 1 and bool(embeds.calls))
        ending = asyncio.create_task(one.close())
        await asyncio.sleep(0)
        embeds.go.set()
        await ending
        assert sorted(each["status"] for each in await asyncio.gather(*waiting)) == [200, 503]


async def test_a_server_without_a_model_says_so(directory: Database) -> None:
    clock = Clock()
    meter = EmbeddingMeter(directory, lambda: int(clock() * 1000), random.Random(1).randbytes)
    none = EmbeddingService(None, Backlog(1), OneTier(), meter, 1)
    assert (await final(none, {"text": "a"}))["code"] == "model_unknown"
    assert (await none.models(ANNA))["models"] == []
