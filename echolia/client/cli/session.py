"""What every command of a device shares: --home, --json, --quiet, and a loop to run in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from echolia.client.cli import notices
from echolia.client.cli.failures import JSON_KEY
from echolia.client.cli.output import Output
from echolia.client.cli.secret_input import home_passphrase

if TYPE_CHECKING:
    from echolia.client import Device

# Long enough for another command to end, short enough not to look hung while `echolia watch` runs.
WAIT_FOR_HOME_S: Final = 2.0


class Session(NamedTuple):
    """One command's run: the home it works on and where its results go."""

    home: Path
    out: Output
    passphrase: Callable[[], str | bytearray]

    @asynccontextmanager
    async def device(self) -> AsyncIterator[Device]:
        """The home's device, closed at the end. Raises as `Device.open`."""
        from echolia.client import Device  # noqa: PLC0415 - `--help` must not wait for it

        opening = Device.open(self.home, wait_s=WAIT_FOR_HOME_S, passphrase=self.passphrase)
        async with await opening as device:
            try:
                yield device
            finally:
                await notices.tell(self.out, device)


def with_session(command: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Turn a coroutine over a session (its first argument) into a click command's function.

    Adds the options that all commands share.
    """

    @click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        default=_own_home,
        envvar="ECHOLIA_HOME",
        show_envvar=True,
        help="This device's folder.  [default: ~/.echolia]",
    )
    @click.option("--json", "as_json", is_flag=True, help="Results, and any failure, as JSON.")
    @click.option("--quiet", is_flag=True, help="No progress and no remarks.")
    @wraps(command)
    def run(home: Path, as_json: bool, quiet: bool, **words: Any) -> None:
        click.get_current_context().meta[JSON_KEY] = as_json
        for word in words.values():
            _check_text(word)
        asyncio.run(command(Session(home, Output(as_json, quiet), home_passphrase()), **words))

    return run


def _own_home() -> Path:
    try:
        return Path("~/.echolia").expanduser()
    except RuntimeError:  # a user without a home folder, as in a container
        raise click.UsageError("There is no home folder for this user; give --home.") from None


def _check_text(word: object) -> None:
    """Refuse words that are not text: a terminal can pass any bytes, a note cannot hold them."""
    for one in word if isinstance(word, tuple) else (word,):
        if isinstance(one, str):
            try:
                one.encode()
            except UnicodeEncodeError:
                raise click.UsageError("What was typed is not UTF-8 text.") from None
