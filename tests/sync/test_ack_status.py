"""Acknowledgements and the status."""

from __future__ import annotations

import json

import pytest
from nacl.signing import SigningKey

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import ack_message
from echolia.core.positions import LogPosition
from echolia.sync.models import read_ack
from tests.support.runs import Writer
from tests.sync.conftest import ACCOUNT, EPOCH, Log


async def ack(log: Log, writer: Writer, verified: LogPosition, signer: Writer | None = None) -> None:
    message = ack_message(ACCOUNT, writer.device, verified, 2, bytes(32))
    signature = SigningKey((signer or writer).secret).sign(message).signature
    body = {
        "epoch": verified.epoch,
        "seq": verified.seq,
        "log": b64(verified.log),
        "devices": {"n": 2, "head": b64(bytes(32))},
        "signature": b64(signature),
    }
    await log.service.ack(log.caller(writer), read_ack(json.dumps(body).encode()))


async def head_after(log: Log, count: int) -> LogPosition:
    log.laptop.write(count)
    first = len(log.laptop.changes) - count + 1
    await log.service.push(log.caller(log.laptop), [log.laptop.run(first)])
    async with log.databases.lease(ACCOUNT) as db:
        return db.memory["log"].state.position  # type: ignore[attr-defined,no-any-return]


async def test_an_ack_is_kept_and_served(log: Log) -> None:
    head = await head_after(log, 2)
    await ack(log, log.phone, head)
    status = await log.service.status(log.caller(log.laptop))
    [kept] = status["acks"]
    assert (kept["device"], kept["epoch"], kept["seq"], kept["log"]) == (
        b64(log.phone.device),
        EPOCH,
        2,
        b64(head.log),
    )
    assert kept["devices"] == {"n": 2, "head": b64(bytes(32))}


async def test_an_ack_never_goes_back(log: Log) -> None:
    early, late = await head_after(log, 1), await head_after(log, 1)
    for verified in (late, early):
        await ack(log, log.phone, verified)
    status = await log.service.status(log.caller(log.laptop))
    assert [kept["seq"] for kept in status["acks"]] == [2]


async def test_an_ack_must_be_signed_and_true(log: Log) -> None:
    head = await head_after(log, 2)
    wrong = [
        (head, log.laptop, "signature_invalid"),
        (head._replace(log=bytes(32)), log.phone, "seen_unknown"),
        (head._replace(seq=1), log.phone, "seen_unknown"),
        (head._replace(epoch=EPOCH + 1), log.phone, "must_rebase"),
    ]
    for verified, signer, code in wrong:
        with pytest.raises(EcholiaError) as caught:
            await ack(log, log.phone, verified, signer)
        assert caught.value.code == code


async def test_the_status_counts_what_is_stored(log: Log) -> None:
    await head_after(log, 3)
    status = await log.service.status(log.caller(log.phone))
    assert status["stored_bytes"] == len(log.laptop.run())
    assert status["devices"] == [
        {"device": b64(log.laptop.device), "counter": 3, "chain": b64(log.laptop.chain(3))}
    ]
