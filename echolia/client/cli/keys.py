"""Commands about keys: recover, drill, phrase, confirm, rotate."""

from __future__ import annotations

import sys
from shlex import quote
from typing import TYPE_CHECKING, Final

import click

from echolia.client.cli.account import address_of, only
from echolia.client.cli.phrase import keep_phrase, phrase_lines
from echolia.client.cli.secrets_kept import secrets_option
from echolia.client.cli.session import Session, with_session
from echolia.client.cli.text_input import agreed, asked, at_terminal, interruptible
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client import Kept

_MOST_CHARACTERS: Final = 1000


def given_phrase() -> str:
    """The words that somebody types, or from standard input: never an argument, which others could see."""
    if at_terminal():
        return asked("The 24 words:")
    with interruptible():
        return sys.stdin.read(_MOST_CHARACTERS)


@click.command(epilog="Example: echolia recover --server https://notes.example --home ./laptop")
@click.option("--server", required=True, metavar="URL", help="The server's address.")
@secrets_option
@with_session
async def recover(session: Session, server: str, secrets: Kept | None) -> None:
    """Rebuild everything from the 24 words, as a new device of the account.

    They are asked for, or read from standard input. Interrupted anywhere, run it again.
    """
    from echolia.client import Device  # noqa: PLC0415 - see session

    address_of(server)
    async with await Device.recover(session.home, server, given_phrase(), kept=secrets) as device:
        value = {"account": device.account, "device": device.id, "server": device.server}
        home = quote(str(session.home))
        lines = [
            f"This is device {device.id[:8]} of account {device.account} now.",
            f"Next: echolia sync --home {home}",
            f"Then shut out what is lost: echolia devices --home {home}, echolia revoke DEVICE --home {home}",
        ]
        session.out.result(value, "\n".join(lines))


@click.command(epilog="Example: echolia drill")
@with_session
async def drill(session: Session) -> None:
    """Show that the 24 words on paper still open the account. None of them leaves this device."""
    async with session.device() as device:
        generation = await device.drill(given_phrase())
        said = f"These words open everything of this account (key generation {generation})."
        session.out.result({"opens": True, "generation": generation}, said)


@click.command(epilog="Example: echolia phrase")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_session
async def phrase(session: Session, yes: bool) -> None:
    """Replace the recovery phrase, and the account key with it.

    The former words open what was written until now, and nothing later.
    """
    async with session.device() as device:
        agreed("Make new words, so that the former ones open nothing new?", yes)
        words = await device.replace_phrase()
        said = ["These words are the account's now. They are shown this once:", "", *phrase_lines(words)]
        session.out.result({"phrase": words}, "\n".join(said))
        await keep_phrase(session, device, words)


@click.command(epilog="Example: echolia rotate")
@with_session
async def rotate(session: Session) -> None:
    """Begin a new account key for all devices. A revocation does so by itself."""
    async with session.device() as device:
        await device.rotate()
        generation = (await device.status()).generation
        session.out.result({"generation": generation}, f"Key generation {generation} has begun.")


@click.command(epilog="Example: echolia confirm 1f0c9a7e")
@click.argument("device_id", metavar="DEVICE")
@with_session
async def confirm(session: Session, device_id: str) -> None:
    """Say that a new device belongs here, by its id or the first digits of it.

    Until then it may add and revoke nobody for two days. If it was not you: echolia revoke DEVICE.
    """
    async with session.device() as device:
        full = only(await device.devices(), device_id)
        if full == device.id:
            raise EcholiaError("device_new", "it cannot confirm itself")
        await device.confirm(full)
        session.out.result({"confirmed": full}, f"Device {full[:8]} belongs here.")
