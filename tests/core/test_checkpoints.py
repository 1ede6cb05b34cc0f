"""Checkpoints: bytes as they are signed, what is refused, what the root commits to."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.core import canonical
from echolia.core.checkpoints import ChainHead, Checkpoint, LiveChange, decode, in_past, live_root
from echolia.core.errors import EcholiaError
from echolia.core.positions import LogPosition, log_base, log_start

AA, BB, ACCOUNT = bytes([0xAA]) * 16, bytes([0xBB]) * 16, bytes(16)
POSITION = LogPosition(7, 3, bytes([1]) * 32)
POINT = Checkpoint(POSITION, 99, 2, bytes([2]) * 32, {AA: ChainHead(3, bytes([3]) * 32)}, 2, bytes([4]) * 32)


def test_decodes_what_was_encoded() -> None:
    assert decode(POINT.encode()) == POINT


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"v": 2}, "unsupported_version"),
        ({"v": True}, "checkpoint_invalid"),
        ({"more": 1}, "checkpoint_invalid"),
        ({"epoch": 0}, "checkpoint_invalid"),
        ({"seq": 0}, "checkpoint_invalid"),
        ({"seq": 2**53}, "checkpoint_invalid"),
        ({"log": bytes(31)}, "checkpoint_invalid"),
        ({"received_ms": 2**48}, "checkpoint_invalid"),
        ({"devices": {"n": 0, "head": bytes(32)}}, "checkpoint_invalid"),
        ({"devices": {"n": 1}}, "checkpoint_invalid"),
        ({"heads": {}}, "checkpoint_invalid"),
        ({"heads": {AA: [0, bytes(32)]}}, "checkpoint_invalid"),
        ({"heads": {AA[1:]: [1, bytes(32)]}}, "checkpoint_invalid"),
        ({"heads": {AA: [1]}}, "checkpoint_invalid"),
        ({"count": 4}, "checkpoint_invalid"),
        ({"count": True}, "checkpoint_invalid"),
        ({"live": "x"}, "checkpoint_invalid"),
    ],
)
def test_refuses_another_form(changed: dict[str, Any], code: str) -> None:
    raw = canonical.encode({**canonical.decode(POINT.encode()), **changed})
    with pytest.raises(EcholiaError) as refused:
        decode(raw)
    assert refused.value.code == code


@pytest.mark.parametrize("raw", [b"", b"\xa0", b"\x80", POINT.encode() + b"\x00", bytes(300_000)])
def test_refuses_other_bytes(raw: bytes) -> None:
    with pytest.raises(EcholiaError) as refused:
        decode(raw)
    assert refused.value.code == "checkpoint_invalid"


def test_the_past_is_the_context_and_what_the_writer_wrote_before() -> None:
    assert in_past(AA, 3, {BB: 2}, AA, 2)
    assert not in_past(AA, 3, {BB: 2}, AA, 3)
    assert in_past(AA, 3, {BB: 2}, BB, 2)
    assert not in_past(AA, 3, {BB: 2}, BB, 3)
    assert not in_past(AA, 3, {}, BB, 1)


def test_the_root_commits_to_everything_that_is_live() -> None:
    live = [LiveChange(AA, 1, bytes([5]) * 32), LiveChange(BB, 2, bytes([6]) * 32)]
    count, root = live_root(ACCOUNT, 3, live)
    others = {
        live_root(ACCOUNT, 3, live[:1])[1],
        live_root(ACCOUNT, 4, live)[1],
        live_root(AA, 3, live)[1],
        live_root(ACCOUNT, 3, [live[0]._replace(counter=2), live[1]])[1],
        live_root(ACCOUNT, 3, [live[0]._replace(leaf=bytes(32)), live[1]])[1],
    }
    assert count == 2
    assert len(others) == 5
    assert root not in others


def test_an_epoch_goes_on_from_a_base_of_another() -> None:
    base = log_base(ACCOUNT, 8, POSITION)
    assert base[:2] == (8, 3)
    assert base.log not in {POSITION.log, log_start(ACCOUNT, 8).log, log_base(ACCOUNT, 9, POSITION).log}
