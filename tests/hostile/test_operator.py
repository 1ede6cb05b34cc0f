"""An operator is honest before an attack begins and after it ends, and lies to whom it is against alone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from echolia.client import EcholiaError
from echolia.client.transport import Answer, Request
from echolia.hostile import ATTACKS, HostileTransport, Operator
from tests.hostile.journey import NAMES, Journey, copied


class Told:
    """A transport that gives the same answer to everything, and notes what it was asked."""

    def __init__(self) -> None:
        self.answer = Answer(200, b'{"acks": [], "head": {"seq": 4}, "epoch": 7}', 1.5)
        self.asked: list[Request] = []

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        self.asked.append(request)
        return self.answer


STATUS = Request("GET", "/sync/status")


async def test_who_is_honest_changes_nothing() -> None:
    told, operator = Told(), Operator()
    for request in (STATUS, Request("POST", "/sync/push", b"\0\1"), Request("GET", "/auth/devices?after=1")):
        assert await operator.answer(request, told.ask) is told.answer
        assert told.asked.pop() is request
    assert operator.lies == 0


async def test_an_attack_can_be_ended() -> None:
    told, operator = Told(), Operator()
    operator.begin(ATTACKS["status-behind"])
    lie = await operator.answer(STATUS, told.ask)
    assert (lie.retry_after_s, operator.lies) == (1.5, 1) and lie != told.answer
    operator.end()
    assert await operator.answer(STATUS, told.ask) is told.answer
    assert operator.lies == 1


async def test_an_attack_that_finds_nothing_to_change_is_no_lie() -> None:
    told, operator = Told(), Operator()
    operator.begin(ATTACKS["acks-raised"])
    await operator.answer(STATUS, told.ask)
    assert operator.lies == 0


@pytest.mark.parametrize("name", ["silence", "no-protocol"])
async def test_not_to_ask_the_honest_server_is_a_lie(name: str) -> None:
    told, operator = Told(), Operator()
    operator.begin(ATTACKS[name])
    with suppress(EcholiaError):
        await operator.answer(STATUS, told.ask)
    assert (operator.lies, told.asked) == (1, [])


async def test_only_whom_it_is_against_is_lied_to(prepared_world: Path, tmp_path: Path) -> None:
    async with copied(prepared_world, tmp_path) as world:
        journey = Journey(world, Random(1))
        await journey.begin()
        world.operator.begin(ATTACKS["status-behind"], [journey.devices["phone"].id])
        for name in ("phone", "laptop", "tablet"):
            await journey.sync(name)
        assert journey.errors == {("phone", "log_rolled_back")}
        assert world.operator.lies == 1


async def test_a_whole_journey_by_way_of_an_honest_operator(prepared_world: Path, tmp_path: Path) -> None:
    async with copied(prepared_world, tmp_path) as world:
        journey = Journey(world, Random(2))
        await journey.begin()
        for _ in range(3):
            await journey.round()
        for name in NAMES * 2:
            await journey.sync(name)
        await journey.agreeing(NAMES)
        assert (journey.errors, world.operator.lies) == (set(), 0)
        for name in NAMES:
            honest = world.transports[name]
            assert len(honest.asked) == world.heard[name].asked


async def test_closing_closes_the_honest_transport(prepared_world: Path) -> None:
    closed: list[bool] = []

    class Closing(Told):
        async def close(self) -> None:
            closed.append(True)

    await HostileTransport(Closing(), Operator()).close()  # type: ignore[arg-type]  # it is only closed
    assert closed == [True]
