"""The platform API's failures, by a stand-in that is told when to fail: waited for, given up, said."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from echolia.storage.engine import DatabaseBusy, DatabaseExists, DatabaseMissing, StorageError
from echolia.storage.hrana.turso import Turso
from echolia.storage.hrana.turso_api import AT_ONCE, TRIES
from tests.contracts.provisioner import ANNA, BEN, MIGRATIONS, contents, owner
from tests.support.sqld import SqldProcess
from tests.support.turso import PLATFORM_TOKEN, Scripted, TursoStandIn, turso_stand_in

pytestmark = pytest.mark.service


@pytest.fixture
async def turso(sqld: SqldProcess) -> AsyncIterator[TursoStandIn]:
    """A stand-in."""
    async with turso_stand_in(sqld) as stand_in:
        yield stand_in


@pytest.fixture
async def place(turso: TursoStandIn) -> AsyncIterator[Turso]:
    """A place there, whose template is made."""
    place = turso.place(MIGRATIONS, secrets.token_hex(8))
    await place.create(BEN, [owner(BEN)])
    turso.asked.clear()
    yield place
    await place.close()


async def test_a_database_is_a_copy_of_the_template(turso: TursoStandIn, place: Turso) -> None:
    await place.create(ANNA, [owner(ANNA)])
    assert turso.seeds[-1] == place._template
    assert await contents(place, ANNA) == [(ANNA, 7)]
    # One request to create and one for a token: the host's name is known from the first database on.
    assert [asked.split(" ")[0] for asked in turso.asked] == ["POST", "POST"]


async def test_tokens_are_asked_for_once(turso: TursoStandIn, place: Turso) -> None:
    for _ in range(3):
        assert await contents(place, BEN) == [(BEN, 7)]
    assert turso.asked == []
    await place.delete(BEN)
    with pytest.raises(DatabaseMissing):
        await place.open(BEN)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_what_passes_is_waited_for(turso: TursoStandIn, place: Turso, status: int) -> None:
    turso.script += [Scripted(status), Scripted(status)]
    await place.create(ANNA, [owner(ANNA)])
    assert await contents(place, ANNA) == [(ANNA, 7)]
    assert len(turso.slept) == 2
    assert 0.25 <= turso.slept[0] <= 0.5 <= turso.slept[1] <= 1


async def test_it_waits_as_long_as_it_is_told(turso: TursoStandIn, place: Turso) -> None:
    turso.script += [Scripted(429, "7"), Scripted(429, "29"), Scripted(429, "soon")]
    await place.create(ANNA, [owner(ANNA)])
    assert [round(slept) for slept in turso.slept[:2]] == [7, 29]
    assert turso.slept[2] <= 2


async def test_told_to_stay_away_for_long_it_asks_no_more(turso: TursoStandIn, place: Turso) -> None:
    turso.script.append(Scripted(429, "3600"))
    for _ in range(3):
        with pytest.raises(DatabaseBusy, match="TURSO_PAUSES"):
            await place.usage(BEN)
    assert (len(turso.asked), turso.slept) == (1, [])


async def test_all_wait_when_one_is_told_to(turso: TursoStandIn, place: Turso) -> None:
    turso.script.append(Scripted(429, "20"))
    await asyncio.gather(place.usage(BEN), *(place.usage(BEN) for _ in range(2 * AT_ONCE)))
    assert round(turso.slept[0]) == 20
    assert len(turso.asked) == 2 + 2 * AT_ONCE


async def test_what_does_not_pass_is_given_up(turso: TursoStandIn, place: Turso) -> None:
    turso.script += [Scripted(503)] * TRIES
    with pytest.raises(DatabaseBusy, match="TURSO_503"):
        await place.usage(BEN)
    assert (await place.usage(BEN)).bytes is not None


async def test_a_creation_whose_answer_was_lost_is_finished(turso: TursoStandIn, place: Turso) -> None:
    turso.script.append(Scripted(502, done=True))
    await place.create(ANNA, [owner(ANNA)])
    assert await contents(place, ANNA) == [(ANNA, 7)]
    with pytest.raises(DatabaseExists):
        await place.create(ANNA, [owner(ANNA)])


async def test_a_deletion_whose_answer_was_lost_is_one(turso: TursoStandIn, place: Turso) -> None:
    turso.script.append(Scripted(500, done=True))
    await place.delete(BEN)
    with pytest.raises(DatabaseMissing):
        await place.usage(BEN)


@pytest.mark.parametrize("status", [400, 401, 403, 422])
async def test_a_refusal_is_said_by_its_number_alone(turso: TursoStandIn, place: Turso, status: int) -> None:
    turso.script.append(Scripted(status))
    with pytest.raises(StorageError, match=f"^storage_failed: TURSO_{status}$"):
        await place.create(ANNA)
    assert turso.slept == []


async def test_another_process_finds_the_same(turso: TursoStandIn, place: Turso) -> None:
    again = Turso(place._api, place._names, MIGRATIONS, lambda: 0.0, turso.sqld.url)
    assert await contents(again, BEN) == [(BEN, 7)]
    await again.create(ANNA, [owner(ANNA)])
    await again._server.close()


async def test_a_stand_in_that_is_gone_is_unreachable(turso: TursoStandIn, place: Turso) -> None:
    turso.url = "http://127.0.0.1:1"
    gone = turso.place(MIGRATIONS)
    with pytest.raises(DatabaseBusy, match="TURSO_UNREACHABLE") as caught:
        await gone.usage(BEN)
    assert PLATFORM_TOKEN not in repr(caught.value)
    await gone.close()
