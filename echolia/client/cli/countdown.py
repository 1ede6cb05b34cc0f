"""How long something is valid, told anew each second on a terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import ceil

import click

from echolia.client.cli.output import Output

_CLEARED = "\r\x1b[K"


@asynccontextmanager
async def countdown(out: Output, until_s: float, text: str) -> AsyncIterator[None]:
    """Show `text` and the time left until the loop's clock reads `until_s`, while the block lasts."""
    if out.json or out.quiet or not sys.stderr.isatty():
        yield
        return
    counting = asyncio.create_task(_count(until_s, text))
    try:
        yield
    finally:
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting
        click.echo(_CLEARED, nl=False, err=True)


async def _count(until_s: float, text: str) -> None:
    while (left := ceil(until_s - asyncio.get_running_loop().time())) > 0:
        click.echo(f"{_CLEARED}{text} {left // 60}:{left % 60:02}", nl=False, err=True)
        await asyncio.sleep(1)
