"""The group `echolia db`: a further command is one more file beside these and one more line here."""

from __future__ import annotations

from typing import Final

import click

from echolia.client.cli.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "echolia.operator"
COMMANDS: Final = {
    "list": LazyCommand(f"{_HERE}.listing:list_databases", "List databases, by pages."),
    "show": LazyCommand(f"{_HERE}.showing:show", "Show where one is, how large, and its snapshots."),
    "move": LazyCommand(f"{_HERE}.moving:move", "Move one to another place while it is served."),
    "snapshot": LazyCommand(f"{_HERE}.snapshots:snapshot", "Keep one as it is now, sealed."),
    "export": LazyCommand(f"{_HERE}.exporting:export", "Write one as a plain SQLite file."),
    "restore": LazyCommand(f"{_HERE}.restoring:restore", "Bring one back from a snapshot or a file."),
    "migrate": LazyCommand(f"{_HERE}.migrating:migrate", "Bring one or all to this version, or pause that."),
    "check": LazyCommand(f"{_HERE}.checking:check", "Look through one or all, and for what lies around."),
    "block": LazyCommand(f"{_HERE}.blocking:block", "Stop serving one, without deleting anything."),
    "unblock": LazyCommand(f"{_HERE}.blocking:unblock", "Serve it again."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, epilog="Example: echolia db list --home files")
def db() -> None:
    """The databases of a server's accounts: one for each, and what is in it is sealed by its devices.

    USER is an account's id in hexadecimal, or its first digits: six at least.
    """
