"""The command line, `echolia`: what a device does, and `serve` for whoever runs the server."""

from __future__ import annotations

import io
import os
import signal
import sys

import click

from echolia import __version__
from echolia.client.cli.commands import COMMANDS, EPILOG
from echolia.client.cli.lazy_group import LazyCommand, LazyGroup

ALL = {
    "serve": LazyCommand("echolia.__main__:serve", "Run the server."),
    **COMMANDS,
    "db": LazyCommand("echolia.operator.group:db", "Look after the databases of a server's accounts."),
    "payments": LazyCommand("echolia.operator.payments:payments", "Look after purchases, and try them out."),
    "jobs": LazyCommand("echolia.operator.jobs:jobs", "List what the server still has to do."),
    "restored": LazyCommand("echolia.__main__:restored", "Make a server's restored backup fit to be served."),
    "directory": LazyCommand("echolia.__main__:directory", "Move the directory of accounts into PostgreSQL."),
}


@click.group(cls=LazyGroup, lazy=ALL, epilog=EPILOG)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Your notes on all your devices, through a server that cannot read them."""


@click.command(epilog="Example: echolia serve --port 8000 --data ./data")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1, this machine only]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8000]"
)
@click.option(
    "--data", type=click.Path(file_okay=False), help="Folder of databases and secrets.  [default: ./data]"
)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the work.  [default: 1]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: info]")
def serve(**given: str | int | None) -> None:
    """Run the server. Without a word of configuration: http://127.0.0.1:8000, data in ./data.

    Every other setting is an ECHOLIA_ variable; .env.example lists them.
    """
    from echolia.settings import Settings  # noqa: PLC0415 - a device needs none of the server

    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    if settings.workers == 1 and not settings.address:
        from echolia.serving import serve as run  # noqa: PLC0415
    else:
        from echolia.supervising import serve as run  # noqa: PLC0415
    run(settings)


@click.command(epilog="Example: echolia restored --data ./data")
@click.option(
    "--data", type=click.Path(file_okay=False), help="Folder of databases and secrets.  [default: ./data]"
)
@click.option("--account", help="Only this account, by its id in hexadecimal, as its file is named.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def restored(data: str | None, account: str | None, as_json: bool) -> None:
    """After a backup was brought back: give each log a new epoch, so that devices bring back what it lacks.

    Run it while the server is stopped, before any device reaches it. Devices then read their logs again and
    send what the backup did not have. It may be interrupted and run again.
    """
    import asyncio  # noqa: PLC0415 - a device needs none of the server
    from pathlib import Path  # noqa: PLC0415

    from echolia.client.cli.output import Output  # noqa: PLC0415
    from echolia.client.cli.progress import progress  # noqa: PLC0415
    from echolia.restoring import restored as run  # noqa: PLC0415
    from echolia.settings import Settings  # noqa: PLC0415

    only, out = _account_id(account), Output(as_json)
    settings = Settings()
    folder = Path(data) if data is not None else settings.data
    with progress(out) as show:
        work = run(folder, only, lambda n, of: show("accounts", n, of), directory_url=settings.directory_url)
        done = asyncio.run(work)
    told = [f"{done.accounts} logs have a new epoch; {done.emptied} of them had no database and begin empty."]
    told += [f"{name} failed: {code}" for name, code in done.failed.items()]
    out.result(done._asdict(), "\n".join(told))
    if done.failed:
        raise SystemExit(1)


@click.group(epilog="Example: echolia directory copy --data ./data")
def directory() -> None:
    """The directory of accounts: a file, or a PostgreSQL that several machines share."""


@directory.command(
    epilog="Example: ECHOLIA_DIRECTORY_URL=postgresql://echolia@db/echolia echolia directory copy"
)
@click.option(
    "--data", type=click.Path(file_okay=False), help="Folder of databases and secrets.  [default: ./data]"
)
@click.option("--to", help="Its address.  [default: ECHOLIA_DIRECTORY_URL, which no list of processes shows]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def copy(data: str | None, to: str | None, as_json: bool) -> None:
    """Copy the directory of a data folder to an empty PostgreSQL: all of it, verified, or nothing.

    Run it while the server is stopped, then start it with ECHOLIA_DIRECTORY_URL. The file stays as
    directory.db.copied; remove it when you are sure.
    """
    import asyncio  # noqa: PLC0415 - a device needs none of the server
    from pathlib import Path  # noqa: PLC0415

    from echolia.client.cli.output import Output  # noqa: PLC0415
    from echolia.client.cli.progress import progress  # noqa: PLC0415
    from echolia.settings import Settings  # noqa: PLC0415
    from echolia.storage.postgres.connections import Address  # noqa: PLC0415
    from echolia.storage.postgres.moving_in import move_in  # noqa: PLC0415

    settings, out = Settings(), Output(as_json)
    if not (url := to or settings.directory_url):
        raise click.UsageError("Give --to, or set ECHOLIA_DIRECTORY_URL.")
    address = Address(url, settings.directory_seconds)
    folder = Path(data) if data is not None else settings.data
    with progress(out) as show:
        rows = asyncio.run(move_in(folder, address, lambda n, total: show("rows", n, total)))
    told = f"{rows['accounts']} accounts ({sum(rows.values())} rows) are in PostgreSQL now."
    out.result({"rows": rows}, told)


def _account_id(text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError:
        raise click.UsageError("--account takes an id in hexadecimal.") from None


def main() -> None:
    """The entry of the console script."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter shows its number; no command fails because of it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(prog_name="echolia")
    finally:
        # The command has ended: an impatient second Ctrl-C must not change what it ended with.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _forget_what_nobody_takes()


def _open_what_is_closed() -> None:
    """Put nothing in the place of closed standard streams: the next file to be opened gets their number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None and os.open(os.devnull, os.O_RDWR) == number:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _forget_what_nobody_takes() -> None:
    """Drop what a full disk did not take; it was told, and Python would tell it again as it exits."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)


if __name__ == "__main__":
    main()
