"""What an account's quota lets through, as the table of `spec/sync.md#quota` says, over a real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echolia.core import runs
from echolia.sync import objects
from echolia.sync.models import read_pull
from echolia.sync.objects import KnownObjects
from echolia.sync.store import StoredRun
from echolia.web.context import Quota, Refusal
from tests.support.runs import Writer
from tests.sync.conftest import ACCOUNT, Log, open_log

ONE = 174 + 42 + 256  # a run of one of a writer's smallest changes


async def push(log: Log, writer: Writer, *frames: bytes, reserve: bool = False) -> list[str]:
    """Push frames, by default the writer's newest change; what became of each."""
    sent = frames or (writer.run(len(writer.changes)),)
    answer = await log.service.push(log.caller(writer), sent, reserve)
    return [run["status"] for run in answer["runs"]]


async def refused(log: Log, writer: Writer, *frames: bytes, reserve: bool = False) -> Refusal:
    """Why a push is refused; nothing of it may have been stored."""
    before = await log.service.status(log.caller(writer))
    with pytest.raises(Refusal) as caught:
        await push(log, writer, *frames, reserve=reserve)
    assert await log.service.status(log.caller(writer)) == before
    return caught.value


async def quota(log: Log) -> dict[str, Any]:
    """What the status says of the quota."""
    told: dict[str, Any] = (await log.service.status(log.caller(log.laptop)))["quota"]
    return told


def test_the_smallest_change_has_the_size_that_is_reckoned_with() -> None:
    writer = Writer(ACCOUNT)
    writer.write()
    assert len(writer.run()) == ONE


async def test_bytes_fill_up_to_the_last_and_no_further(log: Log) -> None:
    log.tiers.named = Quota("small", bytes=3 * ONE)
    for _ in range(3):
        log.laptop.write()
        assert await push(log, log.laptop) == ["stored"]
    log.laptop.write()
    refusal = await refused(log, log.laptop)
    assert (refusal.code, refusal.retry_after_s) == ("quota_exceeded", 3600)
    assert refusal.members == {
        "what": "bytes", "used": 3 * ONE, "limit": 3 * ONE, "needed": ONE, "reserve": 0,
    }  # fmt: skip
    assert (await quota(log))["bytes"] == {"used": 3 * ONE, "limit": 3 * ONE, "reserve": 0}


async def test_a_push_is_taken_whole_or_not_at_all(log: Log) -> None:
    log.tiers.named = Quota("small", bytes=2 * ONE)
    log.laptop.write(1)
    log.phone.write(2)
    frames = (log.laptop.run(), log.phone.run(1, 1), log.phone.run(2, 2))
    assert (await refused(log, log.laptop, *frames)).code == "body_too_large"
    assert await push(log, log.laptop, *frames[:2]) == ["stored", "stored"]


async def test_what_is_there_already_and_what_is_refused_costs_nothing(log: Log) -> None:
    log.tiers.named = Quota("small", bytes=4 * ONE, changes_per_minute=3)
    log.laptop.write(3)
    assert await push(log, log.laptop, log.laptop.run(1, 2)) == ["stored"]
    for _ in range(3):
        assert await push(log, log.laptop, log.laptop.run(1, 2)) == ["duplicate"]
    stranger = Writer(ACCOUNT, 9)
    stranger.write(50)
    assert await push(log, log.laptop, stranger.run()) == ["refused"]
    assert (await quota(log))["changes_per_minute"] == {"used": 2, "limit": 3}
    # Of these three only the last is new.
    assert await push(log, log.laptop, log.laptop.run(1, 3)) == ["stored"]
    assert await push(log, log.laptop, log.laptop.run(1, 3)) == ["duplicate"]


async def test_the_reserve_is_for_those_who_ask_for_it(log: Log) -> None:
    log.tiers.named = Quota("small", bytes=ONE, objects=1, reserve_bytes=2 * ONE, reserve_objects=2)
    for wanted in (False, True, True):
        log.laptop.write()
        if wanted:
            assert (await refused(log, log.laptop)).code == "quota_exceeded"
        assert await push(log, log.laptop, reserve=wanted) == ["stored"]
    log.laptop.write()
    for wanted in (True, False):
        refusal = await refused(log, log.laptop, reserve=wanted)
        assert (refusal.code, refusal.members["reserve"]) == ("quota_exceeded", 2 * ONE)


async def test_what_could_never_fit_is_too_large_and_waiting_does_not_help(log: Log) -> None:
    log.laptop.write(4)
    limits = {
        "bytes": Quota("small", bytes=2 * ONE - 1, reserve_bytes=1),
        "objects": Quota("small", objects=3, reserve_objects=1),
        "changes_per_minute": Quota("small", changes_per_minute=3),
    }
    for what, log.tiers.named in limits.items():
        refusal = await refused(log, log.laptop, log.laptop.run())
        assert (refusal.code, refusal.retry_after_s) == ("body_too_large", None)
        assert refusal.members["what"] == what
    log.tiers.named = limits["objects"]
    assert await push(log, log.laptop, log.laptop.run(), reserve=True) == ["stored"]


async def test_changes_a_minute_are_counted_by_changes(log: Log) -> None:
    log.tiers.named = Quota("small", changes_per_minute=10)
    log.laptop.write(8)
    assert await push(log, log.laptop, log.laptop.run()) == ["stored"]
    log.phone.write(3)
    log.now_ms[0] += 20_500
    refusal = await refused(log, log.phone, log.phone.run())
    assert (refusal.code, refusal.retry_after_s) == ("rate_limited", 40)
    assert refusal.members == {"what": "changes_per_minute", "used": 8, "limit": 10, "needed": 3}
    # What was refused has used nothing up, and the reserve is no help.
    assert (await refused(log, log.phone, log.phone.run(), reserve=True)).code == "rate_limited"
    assert await push(log, log.phone, log.phone.run(1, 2)) == ["stored"]
    log.now_ms[0] += 39_500
    assert await push(log, log.phone, log.phone.run()) == ["stored"]


async def test_a_larger_tier_helps_at_once_and_a_smaller_one_takes_nothing_away(log: Log) -> None:
    log.laptop.write(3)
    await push(log, log.laptop, log.laptop.run())
    log.tiers.named = Quota("small", bytes=10, objects=1)
    log.laptop.write()
    assert (await refused(log, log.laptop)).code == "body_too_large"
    log.tiers.named = Quota("large", bytes=10 * ONE, objects=4)
    assert await push(log, log.laptop) == ["stored"]
    assert (await quota(log))["tier"] == "large"


async def test_objects_that_are_there_may_be_edited_without_end(log: Log) -> None:
    log.tiers.named = Quota("small", objects=3)
    for name in (b"a", b"b", b"c") * 4:
        log.laptop.change(name * 16, b"s" * 16)
        assert await push(log, log.laptop) == ["stored"]
    log.phone.change(b"d" * 16, b"s" * 16)
    refusal = await refused(log, log.phone)
    assert refusal.members == {"what": "objects", "used": 3, "limit": 3, "needed": 1, "reserve": 0}
    log.laptop.change(b"a" * 16, b"s" * 16)
    assert await push(log, log.laptop) == ["stored"]
    assert (await quota(log))["objects"] == {"used": 3, "limit": 3, "reserve": 0}


async def test_an_account_with_more_objects_than_it_may_have_can_still_edit_them(log: Log) -> None:
    for name in (b"a", b"b", b"c"):
        log.laptop.change(name * 16, b"s" * 16)
    await push(log, log.laptop, log.laptop.run())
    log.tiers.named = Quota("small", objects=2)
    log.laptop.change(b"a" * 16, b"s" * 16)
    assert await push(log, log.laptop) == ["stored"]
    log.laptop.change(b"d" * 16, b"s" * 16)
    assert (await refused(log, log.laptop)).members["used"] == 3


async def test_between_two_counts_nothing_is_read_while_all_could_be_new(log: Log) -> None:
    log.tiers.named = Quota("small", objects=9)
    for _ in range(9):
        log.laptop.change(b"o" * 16, b"s" * 16)
    await push(log, log.laptop, log.laptop.run())
    counted = []
    for _ in range(20):
        log.laptop.change(b"o" * 16, b"s" * 16)
        await push(log, log.laptop)
        async with log.databases.lease(ACCOUNT) as db:
            counted.append(objects.known(db).seq)
    # One object is known after the first count, so eight changes fit before the next.
    assert counted == [9] * 8 + [17] * 8 + [25] * 4


async def test_objects_are_not_counted_where_the_changes_are_no_more(log: Log) -> None:
    log.tiers.named = Quota("small", objects=100)
    for _ in range(89):
        log.laptop.change(b"o" * 16, b"s" * 16)
    await push(log, log.laptop, log.laptop.run())
    assert (await quota(log))["objects"]["used"] == 89
    async with log.databases.lease(ACCOUNT) as db:
        assert objects.known(db).seq == 0
    log.laptop.change(b"o" * 16, b"s" * 16)
    await push(log, log.laptop)
    assert (await quota(log))["objects"]["used"] == 1


async def test_looking_and_pushing_at_once_count_alike(log: Log) -> None:
    log.tiers.named = Quota("small", objects=40)
    for n in range(400):
        log.laptop.change(bytes([n % 40]) * 16, b"s" * 16)
    await push(log, log.laptop, log.laptop.run(1, 380))
    both = [
        *(quota(log) for _ in range(5)),
        *(push(log, log.laptop, log.laptop.run(1, n)) for n in (390, 400)),
    ]
    *told, first, second = await asyncio.gather(*both)
    assert {each["objects"]["used"] for each in told if isinstance(each, dict)} == {40}
    assert (first, second) == (["stored"], ["stored"])


PUSHES = st.lists(
    st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.booleans()), min_size=1, max_size=12
)


@asynccontextmanager
async def log_in(folder: Path) -> AsyncIterator[Log]:
    """An empty log in a folder."""
    opened = await open_log(folder, new=True)
    yield opened
    await opened.databases.close()


@settings(max_examples=30)
@given(PUSHES, st.integers(1, 9))
def test_objects_are_counted_exactly_whatever_is_pushed(
    pushes: list[tuple[list[int], bool]], limit: int
) -> None:
    """As a set of names would, though nothing is read before it must be, and memory comes and goes."""

    async def story(log: Log) -> None:
        log.tiers.named, there = Quota("small", objects=limit), set[int]()
        for names, forget in pushes:
            if forget:
                await log.databases.drop(ACCOUNT)
            new, kept = set(names) - there, len(log.laptop.changes)
            for name in names:
                log.laptop.change(bytes([name]) * 16, b"s" * 16)
            frame = log.laptop.run(kept + 1)
            if new and len(there | new) > limit:
                refusal = await refused(log, log.laptop, frame)
                told = (refusal.members["used"], refusal.members["needed"])
                assert told == (len(there), len(new))
                del log.laptop.changes[kept:]
            else:
                assert await push(log, log.laptop, frame) == ["stored"]
                there |= new

    async def in_a_folder() -> None:
        with TemporaryDirectory() as folder:
            async with log_in(Path(folder)) as log:
                await story(log)

    asyncio.run(in_a_folder())


def test_many_objects_are_remembered_in_little_room() -> None:
    known, writer = KnownObjects(), Writer(ACCOUNT)
    writer.write(1000)
    frame = writer.run()
    header = runs.read_header(frame)
    for n in range(20):
        renamed = bytearray(frame)
        for at in (runs.RUN_HEADER_BYTES, *runs.change_ends(frame, header)[:-1]):
            renamed[at + 5 : at + 7] = n.to_bytes(2, "big")
        assert known.missing([bytes(renamed)]) == 1000
        run = StoredRun(known.seq + 1, 0, writer.device, b"", bytes(renamed))
        known.take([run, run._replace(seq=run.seq + 1000)])
        assert known.missing([bytes(renamed)]) == 0
    assert (len(known), known.seq) == (20_000, 40_000)
    assert known._sorted.itemsize == 8
    assert len(known._unsorted) <= 4096


async def test_a_full_account_is_read_and_acknowledged_as_before(log: Log) -> None:
    log.laptop.write(2)
    await push(log, log.laptop, log.laptop.run())
    log.tiers.named = Quota("small", bytes=1, objects=1, changes_per_minute=1)
    page = await log.service.pull(log.caller(log.phone), read_pull(b"{}"))
    assert [bytes(item.content) for item in page.items] == [log.laptop.run()]
