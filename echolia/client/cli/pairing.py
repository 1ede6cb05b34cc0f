"""The commands that add a device: `pair` on one that is in the account, `join` on the new one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from echolia.client.cli.account import LOOPBACK
from echolia.client.cli.countdown import countdown
from echolia.client.cli.output import json_line
from echolia.client.cli.pairing_picture import check_name, drawn, picture
from echolia.client.cli.secrets_kept import secrets_option
from echolia.client.cli.session import Session, with_session
from echolia.client.cli.text_input import asked, at_terminal
from echolia.client.cli.typed_lines import TypedLines
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client import Device, Joining, Kept, Pairing

TRIES: Final = 3
PAIRING_S: Final = 120.0


def _step(session: Session, step: str, text: str, **details: object) -> None:
    """Tell one step: a line for people, or one JSON object a line for scripts, at once."""
    click.echo(json_line({"step": step, **details}) if session.out.json else text)


@click.command(epilog="Example: echolia pair --qr code.png")
@click.option("--digits-from-stdin", is_flag=True, help="Read the six digits from standard input; never ask.")
@click.option(
    "--qr",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the QR code to this file too, .png or .svg; it is removed when the pairing ends.",
)
@with_session
async def pair(session: Session, digits_from_stdin: bool, qr: Path | None) -> None:
    """Add another device to the account.

    Shows a code, as text and as a QR code; the other device joins by it and shows six digits; they are typed
    here, which proves that nobody sits between. With --json each step is one line: {"step": "code", "code"},
    {"step": "guest"}, {"step": "digits_wrong", "tries_left"}, {"step": "added", "device"}.
    """
    check_name(qr)
    async with session.device() as device, device.pair() as pairing:
        until_s = asyncio.get_running_loop().time() + PAIRING_S
        with picture(qr, pairing.code, PAIRING_S):
            _show(session, device.server, pairing.code)
            async with countdown(session.out, until_s, "Waiting for the other device; the code is valid for"):
                await pairing.guest()
            _step(session, "guest", "The other device answers and shows six digits.")
            added = await _confirmed(session, pairing, ask=at_terminal() and not digits_from_stdin)
        _step(session, "added", f"Device {added[:8]} is in the account. It can sync now.", device=added)


def _show(session: Session, server: str, code: str) -> None:
    if urlsplit(server).hostname in LOOPBACK:
        session.out.aside(f"The code names {server}, which is reached from this machine alone.")
    text = (
        f"On the other device, within two minutes:\n\n  echolia join {code}\n\nShow this code to nobody else."
    )
    _step(session, "code", text, code=code)
    if not (session.out.json or session.out.quiet) and (picture_of_it := drawn(code)):
        click.echo(picture_of_it)


async def _confirmed(session: Session, pairing: Pairing, ask: bool) -> str:
    lines = TypedLines()
    for tried in range(TRIES):
        if ask:
            click.echo("The six digits it shows: ", nl=False, err=True)
        try:
            async with asyncio.timeout(PAIRING_S):
                digits = await lines.next()
        except TimeoutError:
            raise EcholiaError("pairing_failed", "no digits were typed in time") from None
        if digits is None:
            raise EcholiaError("pairing_failed", "standard input ended before the digits came")
        try:
            return await pairing.confirm(digits.replace(" ", ""))
        except EcholiaError as error:
            if error.code != "pairing_check_failed" or tried + 1 == TRIES:
                raise
            left = TRIES - tried - 1
            _step(session, "digits_wrong", f"These are not the digits. Tries left: {left}.", tries_left=left)
    raise AssertionError("unreachable")


@click.command(epilog="Example: echolia join echolia:o2Fr… --home ./phone")
@click.argument("code", required=False)
@secrets_option
@with_session
async def join(session: Session, code: str | None, secrets: Kept | None) -> None:
    """Make this a device of an account: CODE is what `echolia pair` shows; - reads it from standard input.

    Without it, it is asked for. Shows six digits to type on the other device. With --json each step is one
    line: {"step": "digits", "digits"}, {"step": "joined", "account", "device"}.
    """
    from echolia.client import Device  # noqa: PLC0415 - see session

    async with Device.join(session.home, await _given(code), kept=secrets) as joining:
        digits = await _digits(joining)
        _step(session, "digits", f"Type these digits on the other device:  {digits}", digits=digits)
        device = await joining.finish()
        async with device:
            text = f"This is device {device.id[:8]} of account {device.account}. Next: echolia sync"
            _step(session, "joined", text, account=device.account, device=device.id)


async def _given(code: str | None) -> str:
    """The code, from wherever it was given."""
    if code is None:
        if not at_terminal():
            raise click.UsageError("Give the code, or - for standard input; there is no terminal to ask in.")
        return asked("The code that the other device shows:")
    return await TypedLines().next() or "" if code == "-" else code


async def _digits(joining: Joining[Device]) -> str:
    try:
        return await joining.digits()
    except EcholiaError as error:
        if error.code not in {"server_unreachable", "server_invalid", "not_found"}:
            raise
        detail = f"the code names {joining.server}, which must be Echolia's, and reachable from here"
        raise EcholiaError(error.code, detail) from None
