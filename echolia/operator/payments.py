"""`echolia payments`: what whoever runs the server sees of purchases, and how they are tried out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from echolia.core.errors import EcholiaError
from echolia.data_folder import payment_keys
from echolia.operator.directory_session import Session, with_directory
from echolia.operator.sandbox import sandbox
from echolia.payments.catalogue import open_tiers
from echolia.payments.service.entitlements import environments_of
from echolia.payments.service.projecting import projected
from echolia.payments.store import entitled, inbox, reading
from echolia.payments.store.learning import FETCH, learnt
from echolia.storage.engine import Statement
from echolia.storage.jobs import asked, counts

_PAGE: Final = 200
_SHORTEST: Final = 6
_STANDING: Final = (
    "UPDATE jobs SET due_ms = ?1, attempts = 0, dead = 0 WHERE kind IN ('missed', 'voided', 'unacknowledged')"
)


@click.group(epilog="Example: echolia payments show")
def payments() -> None:
    """Purchases in app stores, by counts and by account; no identifier of a store is shown.

    USER is an account's id in hexadecimal, or its first digits: six at least.
    """


payments.add_command(sandbox)


@payments.command(epilog="Example: echolia payments show 3f9a1c")
@click.argument("user", required=False)
@with_directory
async def show(session: Session, user: str | None) -> None:
    """Show how many accounts have what, what came from stores, what waits; or what one account has."""
    told = await (_of_all(session) if user is None else _of_account(session, user))
    session.out.result(told, "\n".join(_lines(told)))


@payments.command(epilog="Example: echolia payments replay")
@with_directory
async def replay(session: Session) -> None:
    """Apply every notification that is kept once more; what was applied before changes nothing."""
    keys, after, count = payment_keys(session.settings), b"", 0
    while page := await inbox.contents(session.directory, keys, after, _PAGE):
        for _, store, facts, fetch in page:
            statements = learnt(keys, store, facts, session.now_ms)
            statements += [asked(FETCH, keys.of_purchase(store, key), session.now_ms) for key in fetch]
            if statements:
                await session.directory.batch(statements)
        after, count = page[-1][0], count + len(page)
    session.out.result({"notifications": count}, f"{count} notifications applied again.")


@payments.command(epilog="Example: echolia payments reconcile")
@with_directory
async def reconcile(session: Session) -> None:
    """Have the server ask the stores about every purchase, and for all that it missed, at once."""
    after, count = b"", 0
    while page := await reading.page(session.directory, after, _PAGE):
        await session.directory.batch([asked(FETCH, purchase, session.now_ms) for purchase in page])
        after, count = page[-1], count + len(page)
    await session.directory.batch([Statement(_STANDING, (session.now_ms,))])
    session.out.result({"purchases": count}, f"{count} purchases will be asked for.")


async def _of_all(session: Session) -> dict[str, Any]:
    directory = session.directory
    letters = await inbox.letters(directory, _PAGE, dead=True)
    return {
        "tiers": dict(await entitled.counts(directory)),
        "purchases": [
            {"store": store, "environment": environment, "purchases": number, "nobodys": nobodys}
            for store, environment, number, nobodys in await reading.counts(directory)
        ],
        "notifications": [
            {"store": store, "kind": kind, "notifications": number}
            for store, kind, number in await inbox.counts(directory)
        ],
        "unreadable": [
            {"store": each.store, "kind": each.kind, "received_ms": each.received_ms} for each in letters
        ],
        "jobs": [
            {"kind": kind, "given_up": dead, "jobs": number} for kind, dead, number in await counts(directory)
        ],
    }


async def _of_account(session: Session, user: str) -> dict[str, Any]:
    account = await _account(session, user)
    catalogue, counting = open_tiers(session.settings), environments_of(session.settings)
    revision, held = await reading.held(session.directory, payment_keys(session.settings), account)
    having = projected(held, session.now_ms, catalogue, counting)
    return {
        "account": account.hex(),
        "changes": revision,
        "facts": len(held),
        "subscriptions": [
            {
                "store": each.store,
                "environment": each.subscription.environment,
                "product": each.subscription.product_id,
                "tier": each.tier.name if each.tier else None,
                "status": each.subscription.status,
                "access_until_ms": each.subscription.access_until_ms or None,
                "entitles": each.entitles,
            }
            for each in having
        ],
    }


async def _account(session: Session, user: str) -> bytes:
    digits = user.lower()
    if len(digits) < _SHORTEST or set(digits) - set("0123456789abcdef") or len(digits) > 32:
        raise EcholiaError("usage", f"an account's id begins with {_SHORTEST} hexadecimal digits at least")
    least, most = bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))
    sql = "SELECT account FROM accounts WHERE account BETWEEN ?1 AND ?2 ORDER BY account LIMIT 2"
    (found,) = await session.directory.batch([Statement(sql, (least, most))], tx=False)
    accounts: Sequence[Any] = found.rows
    if len(accounts) != 1:
        raise EcholiaError("account_ambiguous" if accounts else "account_unknown")
    account: bytes = accounts[0][0]
    return account


def _lines(told: Any, name: str = "", depth: int = 0) -> list[str]:
    """Plain values as an indented list."""
    indent = "  " * depth
    if isinstance(told, dict):
        inner = [line for key, value in told.items() for line in _lines(value, key, depth + bool(name))]
        return [f"{indent}{name}", *inner] if name else inner
    if isinstance(told, list):
        rows = [
            "  " * (depth + 1) + ", ".join(f"{key} {value}" for key, value in row.items()) for row in told
        ]
        return [f"{indent}{name}", *rows] if rows else [f"{indent}{name}: none"]
    return [f"{indent}{name}: {told}"]
