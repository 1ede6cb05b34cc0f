"""The commands that say how a home's secrets are kept: `passphrase` and `keychain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from echolia.client.cli.secret_input import new_passphrase
from echolia.client.cli.session import Session, with_session

if TYPE_CHECKING:
    from echolia.client import Device, Kept

HOW: Final = {
    "file": "in a file that only this user can read",
    "keychain": "by this machine's keychain",
    "passphrase": "under a passphrase",
}
secrets_option = click.option(
    "--secrets",
    type=click.Choice(["file", "keychain"]),
    help="How this device keeps its secrets.  [default: a keychain that is open, or else a file]",
)
new_file = click.option(
    "--new-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Read the new passphrase from the first line of a file; - is standard input. Never asks.",
)


@click.group(epilog="Example: echolia passphrase set")
def passphrase() -> None:
    """A passphrase around this home's secrets, asked for by each command.

    It protects the device's and the account's keys in a stolen copy of the folder. The notes in the folder
    stay readable: that is what the disk's encryption is for. Scripts give it by ECHOLIA_PASSPHRASE_FILE, a
    file whose first line it is, or - for standard input.
    """


@passphrase.command("set", epilog="Example: echolia passphrase set")
@new_file
@with_session
async def set_passphrase(session: Session, new_file: Path | None) -> None:
    """Put this home's secrets under a passphrase. Forgotten, it cannot be had back: pair or recover anew."""
    async with session.device() as device:
        await _must_be(device, under=False, instead="change")
        await device.keep_secrets("passphrase", new_passphrase(new_file))
        await _told(session, device)


@passphrase.command("change", epilog="Example: echolia passphrase change")
@new_file
@with_session
async def change_passphrase(session: Session, new_file: Path | None) -> None:
    """Put this home's secrets under another passphrase. Older copies of the home keep the former."""
    async with session.device() as device:
        await _must_be(device, under=True, instead="set")
        await device.keep_secrets("passphrase", new_passphrase(new_file))
        await _told(session, device)


@passphrase.command("remove", epilog="Example: echolia passphrase remove")
@with_session
async def remove_passphrase(session: Session) -> None:
    """Keep this home's secrets as a new home does: by a keychain that asks nothing, or else in a file."""
    async with session.device() as device:
        await _must_be(device, under=True, instead="set")
        await device.keep_secrets()
        await _told(session, device)


@click.group(epilog="Example: echolia keychain use")
def keychain() -> None:
    """Whether this machine's keychain keeps the key to this home's secrets.

    A new home uses it where it is open anyway. Without it (in a job that runs at night, over ssh, on another
    machine that the folder is copied to) the home does not open.
    """


@keychain.command("use", epilog="Example: echolia keychain use")
@with_session
async def use_keychain(session: Session) -> None:
    """Seal this home's secrets, with the key in this machine's keychain."""
    await _keep(session, "keychain")


@keychain.command("leave", epilog="Example: echolia keychain leave")
@with_session
async def leave_keychain(session: Session) -> None:
    """Keep this home's secrets in a file instead. The keychain's entry stays, for copies of the home."""
    await _keep(session, "file")


async def _keep(session: Session, kept: Kept) -> None:
    async with session.device() as device:
        if (await device.status()).secrets == "passphrase":
            raise click.UsageError("This home is under a passphrase; see echolia passphrase remove.")
        await device.keep_secrets(kept)
        await _told(session, device)


async def _must_be(device: Device, *, under: bool, instead: str) -> None:
    if ((await device.status()).secrets == "passphrase") is not under:
        standing = "no passphrase" if under else "a passphrase already"
        raise click.UsageError(f"This home has {standing}; see echolia passphrase {instead}.")


async def _told(session: Session, device: Device) -> None:
    kept = (await device.status()).secrets
    session.out.result({"secrets": kept}, f"The secrets of this home are kept {HOW[kept]}.")
