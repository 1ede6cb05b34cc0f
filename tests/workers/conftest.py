"""Several server processes of one data folder, played by as many applications in this one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from echolia.app import Place, running
from echolia.data_folder import whole_folder
from echolia.storage.engine import Database, Statement
from echolia.storage.reserve import Reserve
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.web.gate import Gate
from echolia.workers.handing_over import HandingOver
from tests.support.asgi import Asker
from tests.support.server import settings_for


class Crew:
    """`workers` applications over one directory; each is entered for itself, so that one can end alone."""

    def __init__(self, data: Path, directory: Database, workers: int, **changed: Any) -> None:
        self.directory = directory
        self.data = data
        self._settings = settings_for(data, workers=workers, **changed)
        self._stacks: list[AsyncExitStack] = []
        self.gates: list[Gate] = []

    async def start(self) -> Asker:
        """One more process."""
        stack = AsyncExitStack()
        self._stacks.append(stack)
        gate = await stack.enter_async_context(
            running(self._settings, directory=self.directory, place=Place(len(self._stacks)))
        )
        self.gates.append(gate)
        return Asker(gate)

    async def looked(self) -> None:
        """Have each process look who else runs."""
        for gate in self.gates:
            handing_over = gate._owners
            assert isinstance(handing_over, HandingOver)
            async with handing_over._placement._looking:
                await handing_over._placement._look()

    async def end(self, number: int) -> None:
        """End a process in order."""
        await self._stacks[number].aclose()

    async def close(self) -> None:
        """End all."""
        for stack in self._stacks:
            await stack.aclose()

    async def owners(self) -> dict[bytes | None, int]:
        """How many slots each process owns, by its id."""
        sql = "SELECT owner, count(*) FROM slots GROUP BY owner"
        (found,) = await self.directory.batch([Statement(sql)], tx=False)
        return {owner: int(count) for owner, count in found.rows}  # type: ignore[arg-type, misc]


@asynccontextmanager
async def crew_of(data: Path, workers: int) -> AsyncIterator[Crew]:
    """A data folder and its directory, as a supervisor has them."""
    settings = settings_for(data)
    driver = SqliteDriver(4)
    try:
        async with whole_folder(settings, driver, Reserve(data)) as directory:
            crew = Crew(data, directory, workers)
            try:
                yield crew
            finally:
                await crew.close()
    finally:
        await driver.close()


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    """Three processes are to be."""
    async with crew_of(tmp_path, 3) as crew:
        yield crew
