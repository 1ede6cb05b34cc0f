"""A new identity for a home that is one of two with one device id (`spec/checkpoints.md#a-new-identity`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from echolia.client import ledger, notices, remaking
from echolia.client.device_entries import entry_json, fetch_device_log
from echolia.client.editing import Editor
from echolia.client.opening import OpenHome
from echolia.client.pages import pull_page, read_served
from echolia.client.replica import Replica
from echolia.client.session import Refused, Session
from echolia.client.verifier import Known, VerifiedRun, verify_page
from echolia.core.device_log import DeviceLog, SignedEntry, entry_bytes
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import device_log_message
from echolia.core.runs import chain_start, fold, leaf
from echolia.e2ee.keys import SECRET_BYTES, KeyPairs

_ROUNDS: Final = 4


async def renew(opened: OpenHome, session: Session) -> None:
    """Become another device of the account, with all unsent edits; interrupted anywhere, it goes on.

    Raises `device_revoked`, `too_many_devices`, `server_unreachable`.
    """
    replica = opened.replica
    keys = await replica.run(_successor, opened)
    for _ in range(_ROUNDS):
        log = await fetch_device_log(replica, session)
        if keys.device in log.devices:
            break
        try:
            await session.ask("POST", "/auth/devices", entry_json(_entry(opened, log, keys)))
        except Refused as refused:
            if refused.code != "device_log_conflict":
                raise
    else:
        raise EcholiaError("device_log_conflict")
    alike = await _alike(replica, session)
    await replica.run(_switch, opened, alike)
    session.become(keys)


async def _alike(replica: Replica, session: Session) -> int:
    """The own counter up to which the log has what waits here: both copies sent it, or had it when they parted.

    What follows was written twice. Where the log cannot be read on from here, nothing is known to be alike.
    """
    known = await replica.run(_known, replica)
    more = known.position.epoch != 0
    while more:
        page = read_served(await pull_page(session, known.position, elide_own=False))
        verified = await replica.run(verify_page, known, page)
        own = [run for run in verified.runs if run.header.device == known.own]
        if own:
            return await replica.run(_last_alike, replica, own)
        known, more = verified.known, verified.more
    return 0


def _known(replica: Replica) -> Known:
    return ledger.known(replica.database, replica.identity.account, replica.identity.device)


def _last_alike(replica: Replica, own: list[VerifiedRun]) -> int:
    waiting = dict(replica.database.rows("SELECT counter, chain FROM outbox"))
    head = ledger.heads(replica.database).get(replica.identity.device)
    chain = head.chain if head else chain_start(replica.identity.account, replica.identity.device)
    last = 0
    for change in (change for run in own for change in run.changes):
        chain = fold(chain, [leaf(change)])
        if waiting.get(change.counter) != chain:
            break
        last = change.counter
    return last


def _successor(opened: OpenHome) -> KeyPairs:
    """The keys of the new identity, on disk before anybody hears of them."""
    if opened.vault.successor is None:
        dice = opened.replica.environment.dice
        keys = KeyPairs(dice(SECRET_BYTES), dice(SECRET_BYTES))
        opened.keep(replace(opened.vault, successor=keys))
    assert opened.vault.successor is not None, "it was just made"
    return opened.vault.successor


def _entry(opened: OpenHome, log: DeviceLog, keys: KeyPairs) -> SignedEntry:
    former = opened.vault.keys
    entry = entry_bytes("add", log, {"device": keys.public(), "by": former.device})
    message = device_log_message(entry)
    return SignedEntry(entry, {b64(each.device): each.sign(message) for each in (former, keys)})


def _switch(opened: OpenHome, alike: int) -> None:
    replica, vault = opened.replica, opened.vault.succeeded()
    database, environment = replica.database, replica.environment
    identity = replica.identity.renewed(vault)
    with database.transaction():
        unsent = remaking.take_out(database, identity, alike)
        editor = Editor(database, identity, environment)
        for one in unsent:
            remaking.make_again(editor, identity, one)
        editor.finish()
        database.run("DELETE FROM tokens")
        database.run("DELETE FROM meta WHERE name IN ('stored', 'acknowledged')")
        database.put("identity", identity.device)
        notices.add(database, "identity_renewed", environment.now_ms())
    replica.identity = identity
    opened.keep(vault)
