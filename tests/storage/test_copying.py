"""Copies and sums: the same rows whatever the pages, and every difference is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.storage.copying import (
    PAGE_BYTES,
    PAGE_ROWS,
    PRINTS,
    Sum,
    Table,
    catch_up,
    copy_whole,
    mend,
    page,
    state_of,
    tables_of,
)
from echolia.storage.engine import Database, Statement, Value
from echolia.storage.migrate import Migration, load_migrations, migrate
from echolia.storage.sqlite.driver import SqliteDriver

STEPS = [
    Migration(
        1,
        "x",
        (
            Statement("CREATE TABLE plain (id INTEGER PRIMARY KEY, small BLOB, large BLOB) STRICT"),
            Statement("CREATE TABLE pairs (b TEXT, a BLOB, v ANY, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID"),
            Statement("CREATE TABLE alone (k BLOB PRIMARY KEY) STRICT, WITHOUT ROWID"),
        ),
    )
]
PLAIN, PAIRS, ALONE = TABLES = tables_of(STEPS)


@pytest.fixture
async def pair(tmp_path: Path, driver: SqliteDriver) -> AsyncIterator[tuple[Database, Database]]:
    """Two databases of one schema."""
    made = [await driver.open(tmp_path / name, create=True) for name in ("source", "target")]
    for db in made:
        await migrate(db, STEPS)
    yield made[0], made[1]
    for db in made:
        await db.close()


async def fill(db: Database, *rows: tuple[Value, ...]) -> None:
    """Rows of the table `plain`."""
    await db.batch([Statement("INSERT INTO plain VALUES (?, ?, ?)", row) for row in rows])


def test_tables_are_known_from_the_steps() -> None:
    assert Table("pairs", ("b", "a", "v"), ("a", "b")) == PAIRS
    names = [table.name for table in tables_of(load_migrations("user"))]
    assert names.index("checkpoints") < names.index("base"), "the base refers to a checkpoint"


def test_a_table_without_a_key_cannot_be_copied() -> None:
    with pytest.raises(ValueError, match="loose has no primary key"):
        tables_of([Migration(1, "x", (Statement("CREATE TABLE loose (v ANY) STRICT"),))])


async def test_every_table_is_copied_and_sums_up_alike(pair: tuple[Database, Database]) -> None:
    source, target = pair
    await fill(source, (-5, None, b""), (2**62, b"\x00", bytes(9)))
    await source.batch(
        [
            Statement("INSERT INTO pairs VALUES ('x', x'32', 1.5)"),
            Statement("INSERT INTO pairs VALUES ('y', x'31', ?)", ("é\0",)),
            Statement("INSERT INTO alone VALUES (x'00')"),
        ]
    )
    assert await state_of(source, TABLES) != await state_of(target, TABLES)
    for _ in range(2):
        await copy_whole(source, target, TABLES)
        assert await state_of(source, TABLES) == await state_of(target, TABLES)
    assert (await state_of(target, TABLES)).counts == {"plain": 2, "pairs": 2, "alone": 1}


async def test_pages_are_bounded_by_bytes_and_rows(pair: tuple[Database, Database]) -> None:
    source, target = pair
    large = bytes(PAGE_BYTES // 2)
    await fill(source, *((n, b"", large) for n in range(3)), (3, b"", bytes(3 * PAGE_BYTES)))
    await fill(source, *((n, b"", b"") for n in range(10, 10 + PAGE_ROWS + 1)))
    pages: list[int] = []
    assert await catch_up(source, target, PLAIN, pages.append) == PAGE_ROWS + 5
    assert pages == [1, 1, 1, 1, PAGE_ROWS, 1]
    assert await page(source, PLAIN, (3 + PAGE_ROWS + 100,)) == []
    assert await state_of(source, TABLES) == await state_of(target, TABLES)


async def test_it_goes_on_behind_what_is_there(pair: tuple[Database, Database]) -> None:
    source, target = pair
    await fill(source, *((n, b"%d" % n, b"") for n in range(10)))
    await fill(target, *((n, b"%d" % n, b"") for n in range(4)))
    assert await catch_up(source, target, PLAIN) == 6
    assert await catch_up(source, target, PLAIN) == 0


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM plain WHERE id IN (0, 7, 2500)",
        "UPDATE plain SET small = x'30303030' WHERE id = 2001",
        "UPDATE plain SET large = zeroblob(70) WHERE id % 1000 = 3",
        "INSERT INTO plain VALUES (-1, x'', x'')",
        "DELETE FROM plain",
    ],
)
async def test_what_changed_behind_is_mended(pair: tuple[Database, Database], change: str) -> None:
    source, target = pair
    rows = [(n, b"%d" % n, bytes(80)) for n in range(PRINTS + 900)]
    await fill(source, *rows)
    await fill(target, *rows)
    assert await mend(source, target, PLAIN) == 0
    (done,) = await source.batch([Statement(change)])
    assert await mend(source, target, PLAIN) == done.changed
    assert await state_of(source, TABLES) == await state_of(target, TABLES)


async def test_what_only_the_copy_has_is_removed_a_page_at_a_time(pair: tuple[Database, Database]) -> None:
    source, target = pair
    await fill(target, *((n, b"", b"") for n in range(2 * PRINTS + 5)))
    await fill(source, (2 * PRINTS, b"", b""))
    assert await mend(source, target, PLAIN) == 2 * PRINTS + 4
    assert await state_of(source, TABLES) == await state_of(target, TABLES)


async def test_any_other_value_is_another_root(pair: tuple[Database, Database]) -> None:
    one, other = pair
    seen = set[bytes]()
    for row in [(1, b"a", b"b"), (1, b"ab", b""), (1, None, b"b"), (2, b"a", b"b"), (1, b"a", bytes(1000))]:
        await one.batch([Statement("DELETE FROM plain")])
        await fill(one, row)
        seen.add((await state_of(one, TABLES)).root)
    await other.batch([Statement("INSERT INTO alone VALUES (x'01')")])
    seen.add((await state_of(other, TABLES)).root)
    assert len(seen) == 6


async def test_a_sum_goes_on_where_it_stands(pair: tuple[Database, Database]) -> None:
    source, _ = pair
    await fill(source, *((n, b"", b"") for n in range(10)))
    begun = Sum(PLAIN)
    await begun.advance(source, (4,))
    assert begun.count == 5
    await fill(source, (11, b"", b""))
    assert await state_of(source, TABLES, [begun]) == await state_of(source, TABLES)
