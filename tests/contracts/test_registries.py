"""Every registry under the one contract of its port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.storage.engine import Database, Result, Statement
from echolia.storage.registry import DirectoryRegistry, OneHome, Registry
from tests.contracts.registry import (
    REGISTRIES,
    OneHomeContract,
    RegistryContract,
    SweepContract,
    sqlite_directory,
)


@pytest.fixture(params=REGISTRIES)
async def directory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty directory of one engine."""
    async with REGISTRIES[request.param](tmp_path) as db:
        yield db


class TestDirectories(RegistryContract, SweepContract):
    """Run here for each entry of `REGISTRIES`."""

    @pytest.fixture
    def registry(self, directory: Database) -> Registry:
        """That of the directory."""
        return DirectoryRegistry(directory)


class TestOneHome(OneHomeContract, SweepContract):
    """What remembers no database."""

    @pytest.fixture
    def registry(self) -> Registry:
        """A new one."""
        return OneHome()


async def test_lists_are_read_by_an_index(tmp_path: Path) -> None:
    """Millions of accounts: nothing reads the whole table, and nothing is sorted to find a page."""
    seen: list[str] = []
    async with sqlite_directory(tmp_path) as directory:

        class Explained:
            """Asks how each query would be answered."""

            async def batch(self, statements: list[Statement], tx: bool = True) -> list[Result]:
                asked = [Statement(f"EXPLAIN QUERY PLAN {sql}", params) for sql, params in statements]
                seen.extend(
                    str(row[-1]) for plan in await directory.batch(asked, tx=False) for row in plan.rows
                )
                return await directory.batch(statements, tx)

        registry = DirectoryRegistry(Explained())  # type: ignore[arg-type]  # all that it needs of a database
        await registry.behind(2, 9)
        await registry.quarantined(9)
        await registry.tally(2)
        await registry.unfinished()
    for index in ("databases_by_version", "databases_quarantined"):
        assert index in " ".join(seen)
    assert not [step for step in seen if "SCAN databases" in step and "INDEX" not in step]
    assert not [step for step in seen if "TEMP B-TREE" in step]


@pytest.mark.parametrize(("slot", "fence", "switched"), [(7, 3, True), (7, 2, False), (6, 3, False)])
async def test_only_by_the_number_of_its_slot_a_move_is_finished(
    directory: Database, slot: int, fence: int, switched: bool
) -> None:
    registry, account = DirectoryRegistry(directory), b"\x07" * 16
    await registry.put(account, "files")
    assert await registry.moving(account, "files", "other")
    await directory.batch([Statement("INSERT INTO slots (slot, owner, fence) VALUES (?, NULL, 3)", (slot,))])
    assert await registry.switch(account, "files", "other", fence) == switched
    assert (await registry.place(account)).home == ("other" if switched else "files")
