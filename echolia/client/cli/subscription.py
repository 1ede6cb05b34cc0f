"""What the account has for its purchases, and how receipts are handed over."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from echolia.client.cli.output import Column, local_time
from echolia.client.cli.session import Session, with_session

if TYPE_CHECKING:
    from echolia.client.payments import Subscription

_receipt = click.argument("receipt", type=click.File("r"))
_store = click.option(
    "--store",
    type=click.Choice(["apple", "google", "sandbox"]),
    default="sandbox",
    show_default=True,
    help="Which store gave it.",
)


@click.group(epilog="Example: echolia subscription show")
def subscription() -> None:
    """What this account has for its purchases in app stores."""


@subscription.command(epilog="Example: echolia subscription show --json")
@with_session
async def show(session: Session) -> None:
    """Say what this account has, and the UUIDs by which stores know it."""
    async with session.device() as device:
        told = await device.payments.subscription()
    _tell(session, told)


@subscription.command(epilog="Example: echolia subscription verify receipt.txt --store sandbox")
@_receipt
@_store
@with_session
async def verify(session: Session, receipt: Any, store: str) -> None:
    """Hand over a receipt, a file or - for standard input."""
    async with session.device() as device:
        told = await device.payments.verify_receipt(store, receipt.read().strip())
    _tell(session, told)


@subscription.command(epilog="Example: echolia subscription restore receipt.txt --store sandbox")
@_receipt
@_store
@with_session
async def restore(session: Session, receipt: Any, store: str) -> None:
    """Have a purchase here that belongs to another account, which is told."""
    async with session.device() as device:
        told = await device.payments.restore(store, receipt.read().strip())
    _tell(session, told)


def _tell(session: Session, told: Subscription) -> None:
    if session.out.json:
        inner = {
            "purchases": [each._asdict() for each in told.purchases],
            "moved": [each._asdict() for each in told.moved],
        }
        session.out.result({**asdict(told), **inner}, "")
        return
    until = f", paid until {local_time(told.access_until_ms)}" if told.access_until_ms else ""
    session.out.result({}, f"Tier {told.tier}{until}.")
    if told.purchases:
        columns = [Column("store"), Column("product", flexible=True), Column("status"), Column("tier")]
        rows = [
            [each.store, each.product, each.status, (each.tier or "none") if each.entitles else "no access"]
            for each in told.purchases
        ]
        session.out.table(columns, rows)
    for store, token in told.account_tokens.items():
        session.out.aside(f"The {store} store knows this account as {token}.")
    for move in told.moved:
        session.out.aside(f"Another account restored a purchase of the {move.store} store from this one.")
