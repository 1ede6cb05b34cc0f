"""How far a long command is: bars on a terminal, a line now and then in a log, nothing in JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import click

from echolia.client.cli.output import Output

# What is being done, how much of it is done, of how much (None: not known).
Show: TypeAlias = Callable[[str, int, int | None], None]


@contextmanager
def progress(out: Output) -> Iterator[Show]:
    """A function to call as the work goes on; what it shows is on standard error."""
    if out.json or out.quiet:
        yield lambda _what, _done, _total: None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _lines()


def _lines() -> Show:
    """One line for each kind of work that begins, and one for each thousand done."""
    told: dict[str, int] = {}

    def show(what: str, done: int, total: int | None) -> None:
        if what not in told or done // 1000 > told[what] // 1000:
            click.echo(f"{what}: {done}{'' if total is None else f' of {total}'}", err=True)
        told[what] = done

    return show


@contextmanager
def _bars() -> Iterator[Show]:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
