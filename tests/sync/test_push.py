"""What a push takes, refuses and answers: the table of `spec/sync.md#push`, case by case."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from echolia.core import runs
from echolia.core.ids import b64
from echolia.core.positions import LogPosition, log_after, log_start
from echolia.sync.models import read_pull
from tests.support.runs import Writer
from tests.sync.conftest import ACCOUNT, EPOCH, Log, open_log


async def push(log: Log, writer: Writer, *frames: bytes) -> list[dict[str, Any]]:
    answer = await log.service.push(log.caller(writer), frames)
    return list(answer["runs"])


async def test_a_first_push_starts_the_log_at_one(log: Log) -> None:
    log.laptop.write(3)
    answer = await log.service.push(log.caller(log.laptop), [log.laptop.run()])
    [run] = answer["runs"]
    assert (run["status"], run["seq"], run["count"]) == ("stored", 1, 3)
    assert answer["epoch"] == EPOCH
    assert answer["head"] == {"seq": 3, "log": run["log"]}


async def test_the_log_hash_is_the_one_a_device_computes(log: Log) -> None:
    log.laptop.write(2)
    log.phone.write(1)
    [first] = await push(log, log.laptop, log.laptop.run())
    [second] = await push(log, log.phone, log.phone.run())
    expected = log_start(ACCOUNT, EPOCH)
    for answer, writer, count in ((first, log.laptop, 2), (second, log.phone, 1)):
        received = answer["received_ms"]
        expected = log_after(expected, count, writer.device, count, writer.chain(count), received)
        assert answer["log"] == b64(expected.log)


async def test_receive_times_increase_though_the_clock_steps_back(log: Log) -> None:
    times = []
    for step in (0, -500_000, -1):
        log.now_ms[0] += step
        log.laptop.write()
        [answer] = await push(log, log.laptop, log.laptop.run(len(log.laptop.changes)))
        times.append(answer["received_ms"])
    assert times == [1_000_000, 1_000_001, 1_000_002]


async def test_the_same_run_again_is_a_duplicate(log: Log) -> None:
    log.laptop.write(3)
    frame = log.laptop.run()
    await push(log, log.laptop, frame)
    [again] = await push(log, log.laptop, frame)
    assert (again["status"], again["duplicates"]) == ("duplicate", 3)


async def test_an_outbox_sent_in_other_portions_loses_and_repeats_nothing(log: Log) -> None:
    log.laptop.write(5)
    await push(log, log.laptop, log.laptop.run(1, 3))
    [answer] = await push(log, log.laptop, log.laptop.run(2, 5))
    assert (answer["status"], answer["duplicates"], answer["seq"]) == ("stored", 2, 4)
    [old] = await push(log, log.laptop, log.laptop.run(1, 2))
    assert old["status"] == "duplicate"
    [older] = await push(log, log.laptop, log.laptop.run(4, 4))
    assert older["status"] == "duplicate"


async def test_what_follows_a_gap_is_refused_and_told_what_is_expected(log: Log) -> None:
    log.laptop.write(4)
    [answer] = await push(log, log.laptop, log.laptop.run(3, 4))
    assert (answer["status"], answer["code"], answer["expected"]) == ("refused", "run_gap", 1)


async def test_a_refusal_refuses_the_devices_later_runs_and_nobody_elses(log: Log) -> None:
    log.laptop.write(4)
    log.phone.write(1)
    frames = [log.laptop.run(2, 2), log.laptop.run(1, 1), log.phone.run()]
    gap, skipped, other = await push(log, log.laptop, *frames)
    assert [gap["code"], skipped["code"], other["status"]] == ["run_gap", "run_skipped", "stored"]


@pytest.mark.parametrize(("first", "last"), [(1, 2), (2, 3), (3, 3), (1, 4)])
async def test_another_history_under_the_same_counters_is_a_fork(log: Log, first: int, last: int) -> None:
    log.laptop.write(3)
    await push(log, log.laptop, log.laptop.run())
    clone = Writer(ACCOUNT, 1)
    clone.write(5, body_bytes=512)
    [answer] = await push(log, log.laptop, clone.run(first, last))
    assert (answer["status"], answer["code"], answer["at"]) == ("refused", "device_fork", first)
    page = await log.service.pull(log.caller(log.phone), read_pull(b"{}"))
    assert [bytes(item.content) for item in page.items] == [log.laptop.run()]


async def test_a_fork_after_the_head_is_seen_by_its_prev(log: Log) -> None:
    log.laptop.write(2)
    await push(log, log.laptop, log.laptop.run())
    clone = Writer(ACCOUNT, 1)
    clone.write(3, body_bytes=512)
    [answer] = await push(log, log.laptop, clone.run(3, 3))
    assert answer["code"] == "device_fork"


async def test_a_signature_by_another_device_is_refused(log: Log) -> None:
    log.laptop.write()
    frame = bytearray(log.laptop.run())
    frame[runs.RUN_HEADER_BYTES - 1] ^= 1
    [answer] = await push(log, log.laptop, bytes(frame))
    assert answer["code"] == "signature_invalid"


async def test_a_device_that_is_not_in_the_account_is_refused(log: Log) -> None:
    stranger = Writer(ACCOUNT, 9)
    stranger.write()
    [answer] = await push(log, log.laptop, stranger.run())
    assert answer["code"] == "device_unknown"


async def test_a_revoked_device_is_refused(log: Log) -> None:
    log.devices.revoked[log.phone.device] = 0
    log.phone.write()
    [answer] = await push(log, log.laptop, log.phone.run())
    assert answer["code"] == "device_revoked"


async def test_another_accounts_run_does_not_verify_here(log: Log) -> None:
    elsewhere = Writer(b"other account id", 1)
    elsewhere.write()
    assert elsewhere.device == log.laptop.device
    [answer] = await push(log, log.laptop, elsewhere.run())
    assert answer["code"] == "signature_invalid"


async def test_rubbish_is_refused_by_its_counter(log: Log) -> None:
    log.laptop.write(2)
    [answer] = await push(log, log.laptop, log.laptop.run()[:-1])
    assert (answer["code"], answer["at"]) == ("run_invalid", 2)
    [short] = await push(log, log.laptop, b"\x01\x01")
    assert short["code"] == "run_invalid"
    assert "device" not in short


async def test_seen_must_be_a_position_of_this_log(log: Log) -> None:
    log.laptop.write(3)
    answer = await log.service.push(log.caller(log.laptop), [log.laptop.run(1, 2)])
    head = answer["runs"][0]
    right = LogPosition(
        EPOCH,
        2,
        log_after(
            log_start(ACCOUNT, EPOCH), 2, log.laptop.device, 2, log.laptop.chain(2), head["received_ms"]
        ).log,
    )
    for wrong in (right._replace(log=bytes(32)), right._replace(seq=1), right._replace(seq=9)):
        [refused] = await push(log, log.laptop, log.laptop.run(3, 3, wrong))
        assert refused["code"] == "seen_unknown"
    for good in (log_start(ACCOUNT, EPOCH), right, right._replace(epoch=EPOCH + 1)):
        [taken] = await push(log, log.laptop, log.laptop.run(3, 3, good))
        assert taken["status"] in {"stored", "duplicate"}


async def test_pushes_at_once_take_positions_without_gaps(log: Log) -> None:
    writers = [Writer(ACCOUNT, seed) for seed in range(10, 22)]
    log.devices.writers.extend(writers)
    for writer in writers:
        writer.write(3)
    answers = await asyncio.gather(*(push(log, writer, writer.run()) for writer in writers))
    assert sorted(answer[0]["seq"] for answer in answers) == list(range(1, 37, 3))


async def test_an_owner_that_was_overtaken_writes_after_what_it_had_not_seen(
    log: Log, tmp_path: Path
) -> None:
    log.laptop.write(1)
    await push(log, log.laptop, log.laptop.run())
    other = await open_log(tmp_path)
    other.phone.write(2)
    await push(other, other.phone, other.phone.run())
    await other.close()
    log.laptop.write(1)
    [answer] = await push(log, log.laptop, log.laptop.run(2))
    assert (answer["status"], answer["seq"]) == ("stored", 4)


async def test_a_restart_continues_the_log(log: Log, tmp_path: Path) -> None:
    log.laptop.write(2)
    [first] = await push(log, log.laptop, log.laptop.run())
    await log.close()
    again = await open_log(tmp_path)
    again.laptop.write(3)
    again.laptop.changes[:2] = log.laptop.changes
    [answer] = await push(again, again.laptop, again.laptop.run())
    assert (answer["status"], answer["duplicates"], answer["seq"]) == ("stored", 2, 3)
    assert answer["received_ms"] > first["received_ms"]
    await again.close()
