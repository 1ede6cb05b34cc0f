"""What waits to be told: bounded, the newest heads, and never lost silently."""

from __future__ import annotations

import asyncio

from echolia.web.notices.outgoing import MOST, Outgoing
from echolia.web.notices.port import MISSED, Ended, HeadMoved

ANNA, BEN, PHONE = b"a" * 16, b"b" * 16, b"p" * 16


async def test_a_head_takes_the_place_of_an_older_one() -> None:
    outgoing = Outgoing()
    for seq in (1, 2):
        outgoing.add(HeadMoved(ANNA, 7, seq))
        outgoing.add(HeadMoved(BEN, 7, seq))
    outgoing.add(Ended(ANNA, None))
    outgoing.add(Ended(ANNA, PHONE))
    outgoing.add(Ended(ANNA, PHONE))
    assert await outgoing.take() == [
        HeadMoved(ANNA, 7, 2),
        HeadMoved(BEN, 7, 2),
        Ended(ANNA, None),
        Ended(ANNA, PHONE),
    ]


async def test_taking_waits_until_there_is_something() -> None:
    outgoing = Outgoing()
    taking = asyncio.create_task(outgoing.take())
    await asyncio.sleep(0)
    assert not taking.done()
    outgoing.add(Ended(ANNA, None))
    assert await taking == [Ended(ANNA, None)]
    assert outgoing.rest() == []


async def test_what_was_lost_is_told_as_missed() -> None:
    outgoing = Outgoing()
    outgoing.add(Ended(ANNA, None))
    outgoing.lost()
    outgoing.add(HeadMoved(BEN, 7, 1))
    assert await outgoing.take() == [MISSED, HeadMoved(BEN, 7, 1)]


async def test_no_more_waits_than_may() -> None:
    outgoing = Outgoing()
    for n in range(MOST + 5):
        outgoing.add(HeadMoved(n.to_bytes(16, "big"), 1, 1))
    taken = await outgoing.take()
    assert taken[0] == MISSED
    assert len(taken) == 6
