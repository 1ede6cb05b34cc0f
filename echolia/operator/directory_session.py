"""What commands share that look into the directory while its server runs, or does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from echolia.client.cli.output import Output
from echolia.data_folder import directory_of
from echolia.settings import Settings
from echolia.storage.directory import FILE
from echolia.storage.engine import Database, DatabaseMissing
from echolia.storage.migrate import assert_current
from echolia.storage.reserve import Reserve
from echolia.storage.sqlite.driver import SqliteDriver

F = TypeVar("F", bound=Callable[..., Any])
data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of databases and secrets.  [default: ./data]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class Session(NamedTuple):
    """The directory that a command looks into, and where it prints."""

    settings: Settings
    directory: Database
    out: Output

    @property
    def now_ms(self) -> int:
        """The time."""
        return time.time_ns() // 1_000_000


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The directory. Several processes may have it open; each reads and writes whole units of work.
    One of another version is left as it is: bringing it to this one is the server's to do.

    Raises: `storage_missing`, `migration_behind`, `migration_ahead`, `StorageError`.
    """
    if not settings.directory_url and not (settings.data / FILE).is_file():
        raise DatabaseMissing("no server has kept its data here")
    driver = SqliteDriver(threads=1)
    try:
        directory = await directory_of(settings, driver, Reserve(settings.data), assert_current)
        try:
            yield directory
        finally:
            await directory.close()
    finally:
        await driver.close()


def with_directory(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A command that is given a `Session` first; it takes `--data` and `--json`."""

    @data_option
    @json_option
    @wraps(command)
    def run(data: Path | None, as_json: bool, **given: Any) -> None:
        settings = Settings() if data is None else Settings(data=data)

        async def asked() -> None:
            async with opened(settings) as directory:
                await command(Session(settings, directory, Output(as_json)), **given)

        asyncio.run(asked())

    return run
