"""What the commands of `echolia db` share: the options, the way to the databases, how progress is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from echolia.client.cli.output import Output
from echolia.client.cli.progress import progress
from echolia.operator.local import operating
from echolia.settings import Settings
from echolia.storage.operating.service import Events, Operating, Value
from echolia.workers.node import folder_of
from echolia.workers.operating import asking

F = TypeVar("F", bound=Callable[..., Any])
user_argument = click.argument("user")
_data = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of databases and secrets.  [default: ./data]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class Session(NamedTuple):
    """Whom a command asks, and where it prints."""

    operator: Operating
    out: Output

    async def told(self, events: Events) -> Value:
        """The result of long work, while its progress is shown."""
        result: Value = {}
        with progress(self.out) as show:
            async for event in events:
                if "result" in event:
                    result = event["result"]
                else:
                    show(event["progress"], event["done"], event["total"])
        return result


def with_operator(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A command that is given a `Session` first; it takes `--data` and `--json`."""

    @_data
    @_json
    @wraps(command)
    def run(data: Path | None, as_json: bool, **given: Any) -> None:
        async def asked() -> None:
            folder = data or Settings().data
            async with asking(folder_of(folder)) as running:
                if running is not None:
                    return await command(Session(running, Output(as_json)), **given)
            async with operating(folder) as operator:
                return await command(Session(operator, Output(as_json)), **given)

        asyncio.run(asked())

    return run
