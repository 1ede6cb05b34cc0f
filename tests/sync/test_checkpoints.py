"""Checkpoints: put by devices, verified against the log, served; which ones are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from nacl.signing import SigningKey

from echolia.core import push
from echolia.core.checkpoints import ChainHead, Checkpoint, checkpoint_message, decode
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.core.positions import LogPosition
from echolia.storage.engine import Statement
from echolia.sync import history
from echolia.sync.models import read_checkpoint
from tests.support.live_changes import checkpoint_of
from tests.support.runs import Writer
from tests.sync.conftest import ACCOUNT, EPOCH, Log
from tests.sync.test_pull import pull

OBJECTS = [bytes([n]) * 16 for n in range(4)]
STREAM = b"s" * 16


async def write(log: Log, writer: Writer, object_: bytes, context: Mapping[bytes, int] | None = None) -> None:
    """Write and push one state."""
    writer.change(object_, STREAM, context=context)
    await log.service.push(log.caller(writer), [writer.run(len(writer.changes))])


async def items_of(log: Log) -> list[push.Item]:
    """The whole log, while nothing of it is gone."""
    return (await pull(log, log.phone, max_bytes=8 << 20)).items


async def place(log: Log, seq: int) -> LogPosition:
    """The log's position at `seq`."""
    async with log.databases.lease(ACCOUNT) as db:
        (found,) = await db.batch([Statement("SELECT log FROM runs WHERE seq + changes - 1 = ?", (seq,))])
    ((hash_,),) = found.rows
    assert isinstance(hash_, bytes)
    return LogPosition(EPOCH, seq, hash_)


async def point_at(log: Log, seq: int, **changed: Any) -> Checkpoint:
    """An honest checkpoint of an uncompacted log at `seq`, but for what the test changes."""
    point = checkpoint_of(
        ACCOUNT, await items_of(log), await place(log, seq), (2, bytes(32)), log.devices.revoked
    )
    return point._replace(**changed)


async def put(log: Log, writer: Writer, point: Checkpoint, signer: Writer | None = None) -> None:
    """Sign a checkpoint and put it."""
    raw = point.encode()
    message = checkpoint_message(ACCOUNT, writer.device, raw)
    signature = SigningKey((signer or writer).secret).sign(message).signature
    body = json.dumps({"checkpoint": b64(raw), "signature": b64(signature)}).encode()
    await log.checkpoints.put(log.caller(writer), *read_checkpoint(body))


async def listed(log: Log) -> list[tuple[int, bool]]:
    """The positions of the checkpoints that are served, and whether the log is compacted to them."""
    told = (await log.checkpoints.listed(log.caller(log.phone)))["checkpoints"]
    return [(decode(unb64(each["checkpoint"])).position.seq, each["compacted"]) for each in told]


@pytest.fixture
async def filled(log: Log) -> Log:
    """Six changes: the phone's second supersedes the laptop's first, and its third an own one."""
    await write(log, log.laptop, OBJECTS[0])
    await write(log, log.laptop, OBJECTS[1])
    await write(log, log.phone, OBJECTS[2])
    await write(log, log.phone, OBJECTS[0], {log.laptop.device: 1})
    await write(log, log.phone, OBJECTS[2])
    await write(log, log.laptop, OBJECTS[3])
    return log


async def test_what_holds_is_kept_and_served_as_it_was_signed(filled: Log) -> None:
    point = await point_at(filled, 5)
    assert point.count == 3
    await put(filled, filled.laptop, point)
    (told,) = (await filled.checkpoints.listed(filled.caller(filled.phone)))["checkpoints"]
    assert (told["device"], told["compacted"]) == (b64(filled.laptop.device), False)
    assert unb64(told["checkpoint"]) == point.encode()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"count": 2}, "checkpoint_invalid"),
        ({"live": bytes(32)}, "checkpoint_invalid"),
        ({"received_ms": 5}, "checkpoint_invalid"),
        ({"heads": {bytes(16): ChainHead(1, bytes(32))}}, "checkpoint_invalid"),
        ({"devices_n": 3}, "device_log_conflict"),
        ({"devices_head": bytes([1]) * 32}, "device_log_conflict"),
        ({"position": LogPosition(EPOCH, 5, bytes(32))}, "seen_unknown"),
        ({"position": LogPosition(EPOCH, 60, bytes(32))}, "seen_unknown"),
        ({"position": LogPosition(EPOCH + 1, 5, bytes(32))}, "must_rebase"),
    ],
)
async def test_what_does_not_hold_is_refused(filled: Log, changed: dict[str, Any], code: str) -> None:
    with pytest.raises(EcholiaError) as refused:
        await put(filled, filled.laptop, await point_at(filled, 5, **changed))
    assert refused.value.code == code
    assert await listed(filled) == []


async def test_another_devices_signature_is_refused(filled: Log) -> None:
    with pytest.raises(EcholiaError) as refused:
        await put(filled, filled.laptop, await point_at(filled, 5), signer=filled.phone)
    assert refused.value.code == "signature_invalid"


async def test_one_at_or_before_the_newest_changes_nothing(filled: Log) -> None:
    await put(filled, filled.laptop, await point_at(filled, 5))
    await put(filled, filled.phone, await point_at(filled, 5, count=0))
    await put(filled, filled.phone, await point_at(filled, 2))
    assert await listed(filled) == [(5, False)]


async def test_what_lies_behind_a_cut_off_neither_counts_nor_supersedes(filled: Log) -> None:
    filled.devices.revoked[filled.phone.device] = 1
    point = await point_at(filled, 6)
    assert point.count == 4
    await put(filled, filled.laptop, point)
    assert await listed(filled) == [(6, False)]


async def test_a_later_cut_off_makes_a_checkpoint_void(filled: Log) -> None:
    await put(filled, filled.laptop, await point_at(filled, 5))
    filled.devices.revoked[filled.phone.device] = 3
    assert await listed(filled) == [(5, False)]
    filled.devices.revoked[filled.phone.device] = 1
    assert await listed(filled) == []
    await put(filled, filled.laptop, await point_at(filled, 5))
    assert await listed(filled) == [(5, False)]


async def test_of_many_the_oldest_and_the_newest_are_kept(log: Log) -> None:
    for n in range(1, 40):
        await write(log, log.laptop, OBJECTS[0])
        await put(log, log.laptop, await point_at(log, n))
    async with log.databases.lease(ACCOUNT) as db:
        kept = [each.checkpoint.position.seq for each in await history.kept_checkpoints(db)]
    assert kept == [39, *range(31, 0, -1)]
    assert await listed(log) == [(39, False)]
