"""What a pull serves: by cursor, by version vector, by stream, within a budget."""

from __future__ import annotations

import json
from typing import Any

import pytest

from echolia.core import push, runs
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.positions import log_after, log_start
from echolia.sync.models import page_json, read_pull
from tests.support.runs import Writer
from tests.sync.conftest import ACCOUNT, EPOCH, Log


async def pull(log: Log, writer: Writer, **fields: Any) -> push.Page:
    return await log.service.pull(log.caller(writer), read_pull(json.dumps(fields).encode()))


def at(seq: int, epoch: int = EPOCH) -> dict[str, int]:
    return {"epoch": epoch, "seq": seq}


@pytest.fixture
async def filled(log: Log) -> Log:
    """Runs of 3 and 2 changes by the laptop, 1 by the phone between them."""
    log.laptop.write(3)
    await log.service.push(log.caller(log.laptop), [log.laptop.run()])
    log.phone.write(1, context={log.laptop.device: 3})
    await log.service.push(log.caller(log.phone), [log.phone.run()])
    log.laptop.write(2)
    await log.service.push(log.caller(log.laptop), [log.laptop.run(4, 5)])
    return log


async def test_an_empty_log_has_a_head_and_no_runs(log: Log) -> None:
    page = await pull(log, log.laptop)
    assert page == push.Page(False, log_start(ACCOUNT, EPOCH), [])


async def test_from_the_start_come_all_runs_as_they_were_pushed(filled: Log) -> None:
    page = await pull(filled, filled.phone)
    frames = [filled.laptop.run(1, 3), filled.phone.run(), filled.laptop.run(4, 5)]
    assert [bytes(item.content) for item in page.items] == frames
    assert [item.seq for item in page.items] == [1, 4, 5]
    assert not page.more


async def test_a_pages_head_is_the_hash_that_its_items_lead_to(filled: Log) -> None:
    page = await pull(filled, filled.phone)
    position = log_start(ACCOUNT, EPOCH)
    for item in page.items:
        header = runs.read_header(item.content)
        chain = runs.chains(item.content, header, runs.change_ends(item.content, header))[-1]
        position = log_after(position, header.count, header.device, header.last, chain, item.received_ms)
    assert page.head == position


@pytest.mark.parametrize(
    ("cursor", "served"), [(0, [1, 4, 5]), (2, [1, 4, 5]), (3, [4, 5]), (4, [5]), (5, [5]), (6, [])]
)
async def test_a_cursor_serves_what_follows_and_a_run_it_stands_in(
    filled: Log, cursor: int, served: list[int]
) -> None:
    page = await pull(filled, filled.phone, cursor=at(cursor))
    assert [item.seq for item in page.items] == served


@pytest.mark.parametrize(("cursor", "code"), [(at(7), "cursor_ahead"), (at(0, EPOCH + 1), "must_rebase")])
async def test_a_cursor_of_another_log_is_named_so(filled: Log, cursor: dict[str, int], code: str) -> None:
    with pytest.raises(EcholiaError) as caught:
        await pull(filled, filled.phone, cursor=cursor)
    assert caught.value.code == code


async def test_a_budget_makes_pages_that_together_are_the_log(filled: Log) -> None:
    seen, cursor, pages = [], 0, 0
    while True:
        page = await pull(filled, filled.phone, cursor=at(cursor), max_bytes=1)
        seen += [item.seq for item in page.items]
        pages += 1
        if not page.more:
            break
        cursor = page.items[-1].seq + runs.read_header(page.items[-1].content).count - 1
    assert (seen, pages) == ([1, 4, 5], 3)


async def test_a_budget_is_kept_when_more_than_one_run_is_in_a_page(filled: Log) -> None:
    two = len(filled.laptop.run(1, 3)) + len(filled.phone.run())
    assert len((await pull(filled, filled.phone, max_bytes=two)).items) == 2
    assert len((await pull(filled, filled.phone, max_bytes=two - 1)).items) == 1


async def test_own_runs_come_as_header_and_hash_when_asked(filled: Log) -> None:
    page = await pull(filled, filled.laptop, elide_own=True)
    assert [item.form for item in page.items] == [push.ELIDED, push.WHOLE, push.ELIDED]
    content = bytes(page.items[0].content)
    assert content == filled.laptop.run(1, 3)[: runs.RUN_HEADER_BYTES] + filled.laptop.chain(3)


@pytest.mark.parametrize(
    ("laptop", "phone", "served"),
    [(0, 0, [1, 4, 5]), (3, 0, [4, 5]), (4, 1, [5]), (5, 0, [4]), (5, 1, []), (9, 9, [])],
)
async def test_a_vector_serves_what_it_lacks(filled: Log, laptop: int, phone: int, served: list[int]) -> None:
    vector = {b64(filled.laptop.device): laptop, b64(filled.phone.device): phone}
    page = await pull(filled, filled.phone, vector=vector)
    assert [item.seq for item in page.items] == served


async def test_vector_pages_reach_everything_in_log_order(log: Log) -> None:
    writers = [Writer(ACCOUNT, seed) for seed in range(20, 23)]
    log.devices.writers.extend(writers)
    for turn in range(300):
        writer = writers[turn % 2 if turn < 290 else 2]
        writer.write()
        await log.service.push(log.caller(writer), [writer.run(len(writer.changes))])
    vector: dict[str, int] = {}
    served = []
    while True:
        page = await pull(log, log.phone, vector=vector, max_bytes=20_000)
        for item in page.items:
            header = runs.read_header(item.content)
            served.append(item.seq)
            assert header.first == vector.get(b64(header.device), 0) + 1
            vector[b64(header.device)] = header.last
        if not page.more:
            break
    assert served == list(range(1, 301))


async def test_a_stream_comes_whole_and_the_rest_as_leaves(log: Log) -> None:
    titles, bodies = b"t" * 16, b"b" * 16
    for stream in (titles, bodies, titles):
        log.laptop.change(b"o" * 16, stream)
    log.phone.change(b"o" * 16, bodies)
    for writer in (log.laptop, log.phone):
        await log.service.push(log.caller(writer), [writer.run()])
    page = await pull(log, log.phone, stream=b64(titles))
    assert [item.form for item in page.items] == [push.PARTIAL, push.ELIDED]
    content = bytes(page.items[0].content)
    header = runs.read_header(content)
    parts = list(push.read_parts(content, header))
    assert [isinstance(part, bytes) for part in parts] == [False, True, False]
    assert isinstance(parts[0], runs.Change)
    assert parts[0].header + parts[0].body == log.laptop.changes[0]
    whole = [p if isinstance(p, bytes) else runs.leaf(p) for p in parts]
    assert runs.fold(header.prev, whole) == log.laptop.chain(3)


async def test_the_json_page_says_the_same(filled: Log) -> None:
    told = page_json(await pull(filled, filled.laptop, elide_own=True))
    assert [run["form"] for run in told["runs"]] == ["elided", "whole", "elided"]
    assert told["runs"][0]["chain"] == b64(filled.laptop.chain(3))
    [change] = told["runs"][1]["changes"]
    assert change["header"] + change["body"] != ""
    assert told["head"]["seq"] == 6


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"{", b"[" * 100_000, b"\xff", b'{"cursor": 3}', b'{"cursor": {"epoch": 1}}',
        b'{"max_bytes": 99999999}',
        b'{"cursor": {"epoch": 1, "seq": -1}}', b'{"max_bytes": true}', b'{"stream": "x"}',
        b'{"vector": {"x": 1}}',
        b'{"elide_own": 1}', b'{"other": 1}', b'{"cursor": {"epoch": 1, "seq": 1}, "vector": {}}',
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_without_an_echo(body: bytes) -> None:
    with pytest.raises(EcholiaError) as caught:
        read_pull(body)
    assert caught.value.code in {"malformed_json", "invalid_request"}
