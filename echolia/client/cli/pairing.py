"""The commands that add a device: `pair` on one that is in the account, `join` on the new one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click

from echolia.client.cli.output import json_line
from echolia.client.cli.session import Session, with_session
from echolia.client.cli.text_input import at_terminal
from echolia.client.cli.typed_lines import TypedLines
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    from echolia.client import Pairing

TRIES: Final = 3
PAIRING_S: Final = 120.0


def _step(session: Session, step: str, text: str, **details: object) -> None:
    """Tell one step: a line for people, or one JSON object a line for scripts, at once."""
    click.echo(json_line({"step": step, **details}) if session.out.json else text)


@click.command(epilog="Example: echolia pair")
@click.option("--digits-from-stdin", is_flag=True, help="Read the six digits from standard input; never ask.")
@with_session
async def pair(session: Session, digits_from_stdin: bool) -> None:
    """Add another device to the account.

    Shows a code; the other device joins by it and shows six digits; they are typed here, which proves that
    nobody sits between. With --json each step is one line: {"step": "code", "code"}, {"step": "guest"},
    {"step": "digits_wrong", "tries_left"}, {"step": "added", "device"}.
    """
    async with session.device() as device, device.pair() as pairing:
        text = (
            f"On the other device, within two minutes:\n\n  echolia join {pairing.code}\n\n"
            "Show this code to nobody else."
        )
        _step(session, "code", text, code=pairing.code)
        await pairing.guest()
        _step(session, "guest", "The other device answers and shows six digits.")
        added = await _confirmed(session, pairing, ask=at_terminal() and not digits_from_stdin)
        _step(session, "added", f"Device {added[:8]} is in the account. It can sync now.", device=added)


async def _confirmed(session: Session, pairing: Pairing, ask: bool) -> str:
    lines = TypedLines()
    for tried in range(TRIES):
        if ask:
            click.echo("The six digits it shows: ", nl=False, err=True)
        try:
            digits = await asyncio.wait_for(lines.next(), PAIRING_S)
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
@click.argument("code")
@with_session
async def join(session: Session, code: str) -> None:
    """Make this a device of an account: CODE is what `echolia pair` shows; - reads it from standard input.

    Shows six digits to type on the other device. With --json each step is one line:
    {"step": "digits", "digits"}, {"step": "joined", "account", "device"}.
    """
    from echolia.client import Device  # noqa: PLC0415 - see session

    if code == "-":
        code = await TypedLines().next() or ""
    async with Device.join(session.home, code) as joining:
        digits = await joining.digits()
        _step(session, "digits", f"Type these digits on the other device:  {digits}", digits=digits)
        device = await joining.finish()
        async with device:
            text = f"This is device {device.id[:8]} of account {device.account}. Next: echolia sync"
            _step(session, "joined", text, account=device.account, device=device.id)
