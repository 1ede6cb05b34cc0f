"""The command line, `echolia`: what a device does, and `serve` for whoever runs the server."""

from __future__ import annotations

import io
import sys

import click

from echolia import __version__
from echolia.client.cli.commands import COMMANDS, EPILOG
from echolia.client.cli.lazy_group import LazyCommand, LazyGroup

ALL = {"serve": LazyCommand("echolia.__main__:serve", "Run the server."), **COMMANDS}


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
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: info]")
def serve(**given: str | int | None) -> None:
    """Run the server. Without a word of configuration: http://127.0.0.1:8000, data in ./data.

    Every other setting is an ECHOLIA_ variable; .env.example lists them.
    """
    from echolia.serving import serve as run  # noqa: PLC0415 - a device needs none of the server
    from echolia.settings import Settings  # noqa: PLC0415

    run(Settings(**{name: value for name, value in given.items() if value is not None}))


def main() -> None:
    """The entry of the console script."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter shows its number; no command fails because of it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="echolia")


if __name__ == "__main__":
    main()
