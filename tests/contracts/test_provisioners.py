"""Every place of accounts' databases under the one contract of provisioners."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.storage.provisioner import Provisioner
from echolia.storage.sqlite import user_files
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.provisioner import Files
from tests.contracts.provisioner import MIGRATIONS, Nature, ProvisionerContract, Setting
from tests.support.sqld import SqldProcess
from tests.support.turso import TursoStandIn, turso_stand_in


class OfFiles:
    """Files in a folder."""

    nature = Nature(refuses=False)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._driver = SqliteDriver(threads=2)
        self.place: Provisioner = Files(folder, self._driver, MIGRATIONS)

    async def again(self) -> Provisioner:
        """See `Setting.again`."""
        return Files(self._folder, self._driver, MIGRATIONS)

    async def interrupt_creation(self, account: bytes) -> None:
        """A file that has not got its name."""
        path = user_files.user_path(self._folder, account)
        user_files.prepare(path).write_bytes(b"half of a database")

    async def close(self) -> None:
        """End the threads."""
        await self._driver.close()


class OfSqld:
    """Namespaces of an sqld, by names that no other test uses."""

    nature = Nature(refuses=True)

    def __init__(self, process: SqldProcess) -> None:
        self._process, self._seed = process, secrets.token_hex(8)
        self._sqld = process.place(MIGRATIONS, self._seed)
        self._places = [self._sqld]
        self.place: Provisioner = self._sqld

    async def again(self) -> Provisioner:
        """See `Setting.again`."""
        self._places.append(self._process.place(MIGRATIONS, self._seed))
        return self._places[-1]

    async def interrupt_creation(self, account: bytes) -> None:
        """A namespace that is empty."""
        assert await self._sqld._admin.create(self._sqld._names.of(account))

    async def close(self) -> None:
        """Close the connections."""
        for place in self._places:
            await place.close()


class OfTurso:
    """Databases at a stand-in for Turso."""

    nature = Nature(refuses=True, usage_is_late=True)

    def __init__(self, stand_in: TursoStandIn) -> None:
        self._stand_in, self._seed = stand_in, secrets.token_hex(8)
        self._turso = stand_in.place(MIGRATIONS, self._seed)
        self._places = [self._turso]
        self.place: Provisioner = self._turso

    async def again(self) -> Provisioner:
        """See `Setting.again`."""
        self._places.append(self._stand_in.place(MIGRATIONS, self._seed))
        return self._places[-1]

    async def interrupt_creation(self, account: bytes) -> None:
        """A copy of the template that is nobody's."""
        await self._turso._make_template()
        assert await self._turso._api.create(self._turso._names.of(account), self._turso._template)

    async def close(self) -> None:
        """Close the connections."""
        for place in self._places:
            await place.close()


@pytest.fixture(
    params=[
        "files",
        pytest.param("sqld", marks=pytest.mark.service),
        pytest.param("turso", marks=pytest.mark.service),
    ]
)
async def setting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Setting]:
    """An empty place of each kind."""
    if request.param == "files":
        files = OfFiles(tmp_path / "users")
        yield files
        await files.close()
        return
    process = request.getfixturevalue("sqld")
    if request.param == "sqld":
        sqld = OfSqld(process)
        yield sqld
        await sqld.close()
        return
    async with turso_stand_in(process) as stand_in:
        turso = OfTurso(stand_in)
        yield turso
        await turso.close()


class TestProvisioners(ProvisionerContract):
    """Run here for each kind of place."""
