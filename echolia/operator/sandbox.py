"""`echolia payments sandbox`: a store of one's own, in which subscriptions are bought, renewed, refunded."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import Any, Final, get_args

import click

from echolia.client.cli.output import Output
from echolia.core.errors import EcholiaError
from echolia.operator.directory_session import data_option, json_option
from echolia.payments.stores.sandbox import BOOK, Signer, signer_of
from echolia.payments.stores.sandbox_book import EVENTS, Book, Bought, Event, bought
from echolia.settings import Settings

_ID_BYTES: Final = 6
_ANSWER_S: Final = 10


@click.command(
    epilog="Example: echolia payments sandbox buy --product echolia.plus.monthly --account-token UUID"
)
@click.argument("event", type=click.Choice(get_args(Event)))
@click.option("--purchase", help="What this happens to, as `buy` named it.")
@click.option("--product", default="echolia.plus.monthly", show_default=True, help="What is bought.")
@click.option("--account-token", help="The buyer's UUID: `echolia subscription show` tells it.")
@click.option("--server", default="http://127.0.0.1:8000", show_default=True, help="Whom the store notifies.")
@click.option("--silent", is_flag=True, help="The notification is lost; the server finds it by asking.")
@data_option
@json_option
def sandbox(
    event: Event,
    purchase: str | None,
    product: str,
    account_token: str | None,
    server: str,
    silent: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Have something happen in the sandbox store of a server with ECHOLIA_SANDBOX_STORE=1.

    `buy` prints the receipt that the store gives the device: hand it over by `echolia subscription verify`.
    A period is 30 days; `renew`, `lapse`, `fail` and `fail-without-grace` end the present one now.
    """
    folder = data or Settings().data
    book, signer, now_ms = Book(folder / BOOK), signer_of(folder), time.time_ns() // 1_000_000
    if event == "buy":
        kind, subscription = "SUBSCRIBED/INITIAL_BUY", bought(_fresh(), product, account_token, now_ms)
    else:
        if purchase is None:
            raise click.UsageError("Give --purchase: what does this happen to?")
        kind, change = EVENTS[event]
        subscription = change(book.find(purchase), product, now_ms)
    book.put(subscription)
    signed = signer.notification(_fresh(), kind, subscription.facts, now_ms)
    delivered = not silent and asyncio.run(_delivered(server, signed))
    if not delivered:
        book.keep_back(signed)
    _tell(Output(as_json), subscription, signer, delivered)


def _fresh() -> str:
    return f"sandbox-{secrets.token_hex(_ID_BYTES)}"


async def _delivered(server: str, signed: str) -> bool:
    """Whether the server took the notification. Raises: what it refused it with."""
    import aiohttp  # noqa: PLC0415  # slow to load

    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    body = json.dumps({"signed": signed})
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.post(f"{server}/payments/webhook/sandbox", data=body) as answer,
        ):
            if answer.status in (400, 404):
                raise EcholiaError("store_unknown" if answer.status == 404 else "notification_invalid")
            return answer.status == 204
    except (aiohttp.ClientError, TimeoutError):
        return False


def _tell(out: Output, subscription: Bought, signer: Signer, delivered: bool) -> None:
    receipt = signer.receipt(subscription)
    told: dict[str, Any] = {"purchase": subscription.id, "receipt": receipt, "delivered": delivered}
    out.aside(f"The purchase is {subscription.id}.")
    if not delivered:
        out.aside("Its notification did not reach the server, which will ask for what it missed.")
    out.result(told, receipt)
