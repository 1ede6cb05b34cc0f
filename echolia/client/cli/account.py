"""Commands about the account and its devices: init, devices, revoke, account delete."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import click

from echolia.client.cli.output import Column
from echolia.client.cli.phrase import keep_phrase, phrase_lines
from echolia.client.cli.secrets_kept import secrets_option
from echolia.client.cli.session import Session, with_session
from echolia.client.cli.text_input import agreed, asked, at_terminal
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client import Device, Kept, LoggedDevice

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@click.command(epilog="Example: echolia init --server http://127.0.0.1:8000 --home ./laptop")
@click.option("--server", required=True, metavar="URL", help="The server's address.")
@secrets_option
@with_session
async def init(session: Session, server: str, secrets: Kept | None) -> None:
    """Make an account on a server, with this device as its first.

    Shows the 24 words that open the account when every device is lost. They are shown once and kept nowhere:
    write them down. With --json they are in the JSON.
    """
    from echolia.client import Device  # noqa: PLC0415 - see session

    address = address_of(server)
    if address.scheme == "http" and address.hostname not in LOOPBACK:
        session.out.aside(
            "Without https others on the way see who talks to the server; still not your notes."
        )
    device, phrase = await Device.init(session.home, server, kept=secrets)
    async with device:
        value = {"account": device.account, "device": device.id, "server": device.server, "phrase": phrase}
        session.out.result(value, _welcome(session, device, phrase))
        await keep_phrase(session, device, phrase)


def address_of(server: str) -> SplitResult:
    """The parts of a server's address; a usage error for what is none."""
    try:
        address = urlsplit(server)
        whole = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
        if whole and address.username is None and not address.query and not address.fragment:
            return address
    except ValueError:
        pass  # half a bracket, or a port that is no number
    raise click.BadParameter("an address looks like https://notes.example", param_hint="--server")


def _welcome(session: Session, device: Device, phrase: str) -> str:
    return "\n".join(
        [
            f"Account {device.account} on {device.server}, this device {device.id[:8]}.",
            "",
            "These words open the account when every device is lost. They are shown this once:",
            "",
            *phrase_lines(phrase),
            "",
            f"Next: echolia add 'A first note' --home {quote(str(session.home))}",
        ]
    )


@click.command(epilog="Example: echolia devices")
@with_session
async def devices(session: Session) -> None:
    """List the account's devices, as this one has verified them."""
    async with session.device() as device:
        listed = await device.devices()
    if session.out.json:
        session.out.result({"devices": [_device_json(one) for one in listed]}, "")
        return
    columns = [Column("id"), Column(""), Column("changes"), Column("verified up to")]
    session.out.table(columns, [_device_row(one) for one in listed])


def _device_row(device: LoggedDevice) -> list[str]:
    standing = "revoked" if device.revoked else "this one" if device.this else ""
    verified = "" if device.synced_seq is None else str(device.synced_seq)
    return [device.id[:8], standing, str(device.counter), verified]


def _device_json(device: LoggedDevice) -> dict[str, object]:
    return {
        "id": device.id,
        "this": device.this,
        "revoked": device.revoked,
        "confirmed": device.confirmed,
        "added_by": device.added_by,
        "changes": device.counter,
        "verified_seq": device.synced_seq,
    }


@click.command(epilog="Example: echolia revoke 1f0c9a7e --yes")
@click.argument("device_id", metavar="DEVICE")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_session
async def revoke(session: Session, device_id: str, yes: bool) -> None:
    """Shut a device out, by its id or the first digits of it.

    What it wrote so far stays; what it had read it has read. In the same step the account gets a new key.
    """
    async with session.device() as device:
        full = only(await device.devices(), device_id)
        agreed(f"Shut device {full[:8]} out of the account for good?", yes)
        await device.revoke(full)
        session.out.result({"revoked": full}, f"Device {full[:8]} is shut out.")


def only(listed: list[LoggedDevice], prefix: str) -> str:
    """The one device whose id starts so; raises `device_unknown`, or `object_ambiguous` for several."""
    found = [one.id for one in listed if prefix and one.id.startswith(prefix.lower())]
    if len(found) != 1:
        raise EcholiaError("object_ambiguous" if found else "device_unknown")
    return found[0]


@click.group(epilog="Example: echolia account delete")
def account() -> None:
    """What can be done with the account as a whole."""


@account.command(
    "delete", epilog="Example: echolia account delete --confirm $(echolia status --json | jq -r .account)"
)
@click.option("--confirm", metavar="ID", help="The account's id, instead of typing it when asked.")
@with_session
async def delete_account(session: Session, confirm: str | None) -> None:
    """Delete the account and all it holds from the server, for good. The copies on devices stay."""
    async with session.device() as device:
        if confirm is None:
            if not at_terminal():
                raise click.UsageError("There is no terminal to ask in; give --confirm and the account's id.")
            click.echo(f"This deletes account {device.account} from {device.server} for good.", err=True)
            confirm = asked("Type the account's id to go on:")
        if confirm != device.account:
            raise click.UsageError("That is not this account's id; nothing was deleted.")
        await device.delete_account()
        session.out.result({"deleted": device.account}, "The account is gone from the server.")
