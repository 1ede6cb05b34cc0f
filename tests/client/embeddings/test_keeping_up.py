"""Vectors that are made as entries come, whoever wrote them, by whoever can, as soon as somebody can."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from echolia.client import Device, EcholiaError
from echolia.engines.deterministic import DeterministicEngine
from echolia.engines.port import Tokens
from tests.client.embeddings.test_embeddings import Counting, reports, written
from tests.support.devices import World


@asynccontextmanager
async def keeping_up(
    device: Device, on_progress: Callable[[int, int], None] | None = None, *, begin: bool = True
) -> AsyncIterator[asyncio.Task[None]]:
    """Meanwhile."""
    task = asyncio.create_task(device.embeddings.keep_up(on_progress, begin=begin))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def made(device: Device, count: int) -> None:
    """Until so many entries have a vector."""
    async with asyncio.timeout(20):
        while (await device.embeddings.status()).made != count:  # noqa: ASYNC110  # of several tasks
            await asyncio.sleep(0)


async def test_what_is_written_here_and_elsewhere_is_embedded_as_it_comes(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    engine = Counting()
    laptop.embeddings.use(engine)
    phone.embeddings.use(None, may_send=False)
    told: list[tuple[int, int]] = []
    async with keeping_up(laptop, lambda done, total: told.append((done, total))):
        await written(laptop)
        await made(laptop, 4)
        await phone.collection("entries").create({"title": "Heron", "body": "It stood in the water"})
        await phone.sync()
        await laptop.sync()
        await made(laptop, 5)
    assert told[-1] == (1, 1) and engine.embedded == 5
    await laptop.sync()
    await phone.sync()
    assert (await phone.embeddings.status()).made == 5


async def test_a_device_that_cannot_has_the_server_do_it(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    engine = DeterministicEngine()
    laptop.embeddings.use(engine)
    reports(laptop, power="low")
    async with keeping_up(laptop):
        await made(laptop, 4)
    assert "/embeddings/batch" in {request.path for request in world.transport("laptop").asked}


async def test_where_nobody_can_it_is_done_as_soon_as_somebody_can(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    engine = Counting(most=0)
    laptop.embeddings.use(engine)
    async with keeping_up(laptop):
        async with asyncio.timeout(20):
            while engine.refused < 4:  # noqa: ASYNC110  # of several tasks
                await asyncio.sleep(0)
        found = await laptop.embeddings.search("garden")
        assert (found.by, found.found[0].record.title) == ("words", "Rain")
        engine.most = 1 << 30
        await made(laptop, 4)


async def test_a_migration_that_was_stopped_is_brought_to_its_end(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    laptop.embeddings.use(DeterministicEngine("1"))
    await laptop.embeddings.update()
    stopping = Counting("2", most=0)
    laptop.embeddings.use(stopping)
    with pytest.raises(EcholiaError):
        await laptop.embeddings.migrate()
    assert (await laptop.embeddings.status()).others == 4
    stopping.most = 1 << 30
    async with keeping_up(laptop, begin=False):
        await made(laptop, 4)
        async with asyncio.timeout(20):
            while (await laptop.embeddings.status()).others:  # noqa: ASYNC110  # of several tasks
                await asyncio.sleep(0)


async def test_nothing_is_begun_for_who_never_asked_for_it(world: World) -> None:
    laptop = await world.first()
    await written(laptop)
    engine = Counting()
    laptop.embeddings.use(engine)
    async with keeping_up(laptop, begin=False):
        for _ in range(50):  # each takes its turn on the replica's thread, and lets others have theirs
            assert (await laptop.embeddings.status()).model is None
        assert engine.embedded == 0
        await laptop.embeddings.update()
        await laptop.collection("entries").create({"title": "Heron", "body": "It stood in the water"})
        await made(laptop, 5)


async def test_what_never_goes_better_is_raised(world: World) -> None:
    laptop = await world.first()
    await written(laptop)

    class Broken(Counting):
        def embed(self, windows: Sequence[Tokens]) -> list[array[float]]:
            raise EcholiaError("model_damaged")

    laptop.embeddings.use(Broken())
    async with keeping_up(laptop) as task:
        with pytest.raises(EcholiaError) as error:
            await asyncio.wait_for(task, 20)
    assert error.value.code == "model_damaged"
