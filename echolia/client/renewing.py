"""A new identity for a home that is one of two with one device id (`spec/checkpoints.md#a-new-identity`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from echolia.client import key_boxes, late, ledger, notices, remaking, starting
from echolia.client.device_entries import entry_json, fetch_device_log
from echolia.client.editing import Editor
from echolia.client.generations import follow
from echolia.client.opening import OpenHome
from echolia.client.pages import pull_base, pull_page, read_served
from echolia.client.replica import Replica
from echolia.client.session import Refused, Session
from echolia.client.verifier import Known, VerifiedRun, verify_base_item, verify_page
from echolia.core.checkpoints import Checkpoint
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import device_log_message
from echolia.e2ee.keys import SECRET_BYTES, KeyPairs

_ROUNDS: Final = 4


async def renew(opened: OpenHome, session: Session, *, lost: bool = False) -> None:
    """Become another device of the account, with all unsent edits; interrupted anywhere, it goes on.

    `lost`: not because there are two homes, but because the server has lost what this one had written.

    Raises `device_revoked`, `too_many_devices`, `server_unreachable`.
    """
    replica = opened.replica
    keys = await replica.run(_successor, opened)
    for _ in range(_ROUNDS):
        log = await fetch_device_log(replica, session)
        if keys.device in log.devices:
            break
        # What the former self does not know yet, the new one could not ask for: no box is for it.
        await follow(opened, session)
        box = key_boxes.sealed(opened.vault.secrets, opened.vault.keys, b64(keys.device), keys.box_public)
        try:
            asked = {**entry_json(_entry(opened, log, keys)), "key_boxes": [box]}
            await session.ask("POST", "/auth/devices", asked)
        except Refused as refused:
            if refused.code != "device_log_conflict":
                raise
    else:
        raise EcholiaError("device_log_conflict")
    alike = {} if lost else await _alike(replica, session)
    await replica.run(_switch, opened, lost, alike)
    session.become(keys)


async def _alike(replica: Replica, session: Session) -> dict[int, int]:
    """The own counters of what waits here and the log has as it is, with when the server logged them.

    Both copies had it when they parted. What follows was written twice.
    """
    known, waiting = await replica.run(_known, replica), await replica.run(_chains, replica)
    if not known.position.epoch and (point := await starting.begin(replica, session)) is not None:
        return await _alike_in_base(waiting, session, known, point)
    found, more = dict[int, int](), True
    while more:
        page = read_served(await pull_page(session, known.position, elide_own=False))
        verified = await replica.run(verify_page, known, page)
        for run in verified.runs:
            if run.header.device == known.own:
                until = _same_until(run, waiting)
                found = _logged(waiting, until, run) | found
                if until < run.header.last:
                    return found
        known, more = verified.known, verified.more
    return found


async def _alike_in_base(
    waiting: Mapping[int, bytes], session: Session, known: Known, point: Checkpoint
) -> dict[int, int]:
    """The same where all that is known of the log is a checkpoint: by what it holds of this device.

    Of a run of which nothing counts any more there is no word; the next one tells of it.
    """
    found = dict[int, int]()
    before, more = point.position.seq + 1, True
    while more:
        page = read_served(await pull_base(session, point.position.seq, before))
        for item in page.items:
            run = verify_base_item(known, item, point, before)
            before = item.seq
            if run.header.device == known.own:
                found |= _logged(waiting, _same_until(run, waiting), run)
        more = page.more and bool(page.items)
    return found


def _same_until(run: VerifiedRun, waiting: Mapping[int, bytes]) -> int:
    """The last counter of a run up to which all is the same as what waits, which its hash says; or 0."""
    return max((counter for counter, chain in run.chains.items() if waiting.get(counter) == chain), default=0)


def _logged(waiting: Mapping[int, bytes], until: int, run: VerifiedRun) -> dict[int, int]:
    return {counter: run.received_ms for counter in waiting if counter <= until}


def _chains(replica: Replica) -> dict[int, bytes]:
    """This device's hash after each counter that waits."""
    return dict(replica.database.rows("SELECT counter, chain FROM outbox"))


def _known(replica: Replica) -> Known:
    return ledger.known(replica.database, replica.identity.account, replica.identity.device)


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


def _switch(opened: OpenHome, lost: bool, alike: Mapping[int, int]) -> None:
    replica, vault = opened.replica, opened.vault.succeeded()
    database, environment = replica.database, replica.environment
    identity = replica.identity.renewed(vault)
    with database.transaction():
        unsent = (
            remaking.set_aside(database)
            if lost
            else remaking.take_out(database, identity, replica.identity.device, alike)
        )
        editor = Editor(database, identity, environment)
        for one in unsent:
            remaking.make_again(editor, identity, one)
        editor.finish()
        late.renote(database)
        database.run("DELETE FROM tokens")
        database.run("DELETE FROM meta WHERE name IN ('stored', 'acknowledged')")
        database.put("identity", identity.device)
        notices.add(database, "identity_renewed", environment.now_ms())
    replica.identity = identity
    opened.keep(vault)
