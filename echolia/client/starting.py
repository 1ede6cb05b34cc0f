"""Starting from a checkpoint: what still counts of the log, newest first (`spec/checkpoints.md`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from echolia.client import ledger, live_changes
from echolia.client.applying import Applied, Applier
from echolia.client.device_entries import fetch_device_log
from echolia.client.pages import pull_base, read_served
from echolia.client.replica import Replica
from echolia.client.session import ANSWERED, Session, bytes_of
from echolia.client.verifier import Head, verify_base_item
from echolia.core.checkpoints import Checkpoint, checkpoint_message, decode, live_root
from echolia.core.device_entries import SignedEntry, entry_hash
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.positions import NOTHING_SEEN, LogPosition, log_base
from echolia.core.push import Page
from echolia.core.signing import verify

_ROUNDS: Final = 5
# How a checkpoint fails of which the author, or an entry of the device log, is not known here yet.
_UNHEARD_OF: Final = {"ghost_device", "log_rolled_back"}


async def begin(replica: Replica, session: Session) -> Checkpoint | None:
    """The checkpoint to start from, verified and remembered; None if there is none, or nothing to start."""
    found, at = await replica.run(_begun, replica)
    if found is not None or at != NOTHING_SEEN:
        return found
    for _ in range(_ROUNDS):
        log = await replica.run(ledger.device_log, replica.database)
        served = (await session.ask("GET", "/sync/checkpoint")).get("checkpoints")
        if not isinstance(served, list):
            raise EcholiaError("server_invalid", "expected checkpoints")
        try:
            return await replica.run(_chosen, replica, served[0]) if served else None
        except EcholiaError as error:
            if error.code not in _UNHEARD_OF:
                raise
            failed, told = error, ANSWERED.get()
        # It may be newer than the device log that is known, and has to be newer than no other.
        if (await fetch_device_log(replica, session)).length == log.length:
            break
    ANSWERED.set(told)
    raise failed


async def read_page(replica: Replica, session: Session, point: Checkpoint) -> tuple[bytes, Page]:
    """The next page of what the checkpoint starts from."""
    before = await replica.run(replica.database.value, "SELECT before FROM reading")
    raw = await pull_base(session, point.position.seq, before)
    return raw, read_served(raw)


def apply_page(replica: Replica, point: Checkpoint, page: Page, keys_may_come: bool) -> Applied:
    """Verify and join a page of the base; with the last one, begin at the checkpoint."""
    database, identity = replica.database, replica.identity
    with database.transaction():
        if page.more and not page.items:
            raise EcholiaError("server_invalid", "the base does not end")
        known = ledger.known(database, identity.account, identity.device)
        before = database.value("SELECT before FROM reading") or point.position.seq + 1
        applier = Applier(database, identity, replica.environment, keys_may_come=keys_may_come)
        for item in page.items:
            run = verify_base_item(known, item, point, before)
            applier.apply_base(run)
            before = item.seq
        database.run("UPDATE reading SET before = ?", before)
        if not page.more:
            _end(replica, point, page, applier)
        return applier.finish()


def _begun(replica: Replica) -> tuple[Checkpoint | None, LogPosition]:
    raw = replica.database.value("SELECT checkpoint FROM reading")
    at = ledger.position(replica.database, replica.identity.account)
    return None if raw is None else decode(raw), at


def _chosen(replica: Replica, fields: object) -> Checkpoint:
    database = replica.database
    point, raw = _verified(replica, fields)
    with database.transaction():
        database.run("DELETE FROM reading_states")
        database.run("INSERT INTO reading VALUES (0, ?, NULL)", raw)
    return point


def _verified(replica: Replica, fields: object) -> tuple[Checkpoint, bytes]:
    """A served checkpoint that a device of the account signed, and that fits its device log."""
    if not isinstance(fields, Mapping):
        raise EcholiaError("server_invalid", "expected a checkpoint")
    raw, author = bytes_of(fields, "checkpoint"), bytes_of(fields, "device", 16)
    log, entries = ledger.device_log(replica.database), ledger.device_entries(replica.database)
    point = signed_checkpoint(log, entries, author, raw, bytes_of(fields, "signature"))
    _check_former(replica, point)
    return point, raw


def signed_checkpoint(
    log: DeviceLog, entries: Sequence[SignedEntry], author: bytes, raw: bytes, signature: bytes
) -> Checkpoint:
    """The checkpoint, which a device of this log signed and which fits the log (`entries` are all of its)."""
    device = log.devices.get(author)
    if device is None:
        raise EcholiaError("ghost_device", "a checkpoint by a device that the account never added")
    if not verify(device.sign, checkpoint_message(log.account, author, raw), signature):
        raise EcholiaError("chain_broken", "a checkpoint's signature does not hold")
    try:
        point = decode(raw)
    except EcholiaError as error:
        if error.code == "unsupported_version":
            raise
        raise EcholiaError("server_invalid", "a checkpoint of another form") from None
    own = point.heads.get(author)
    if device.revoked and own is not None and own.counter > device.revoked.last:
        raise EcholiaError("ghost_device", "a checkpoint that its author made after it was revoked")
    if point.devices_n > log.length:
        raise EcholiaError("log_rolled_back", f"a checkpoint names a device log of {point.devices_n} entries")
    if entry_hash(entries[point.devices_n - 1].entry) != point.devices_head:
        raise EcholiaError("history_forked", f"a checkpoint names another device log at {point.devices_n}")
    return point


def _check_former(replica: Replica, point: Checkpoint) -> None:
    for device, former in ledger.former_heads(replica.database).items():
        head = point.heads.get(device)
        if head is not None and head.counter == former.counter and head.chain != former.chain:
            code = "device_fork" if device == replica.identity.device else "chain_broken"
            raise EcholiaError(code, f"counter {head.counter} is not what was verified before")


def _end(replica: Replica, point: Checkpoint, page: Page, applier: Applier) -> None:
    """All of the base is there: does it add up to the checkpoint? Then the log goes on from it."""
    database, identity = replica.database, replica.identity
    if live_root(identity.account, point.position.seq, live_changes.live(database)) != (
        point.count,
        point.live,
    ):
        raise EcholiaError("history_withheld", f"up to {point.position.seq}")
    own = point.heads.get(identity.device)
    if own is not None:
        applier.confirm(identity.device, own.counter, own.chain)
    position, epoch = point.position, page.head.epoch
    if not epoch:
        raise EcholiaError("server_invalid", "epoch out of range")
    if epoch != position.epoch:
        position = log_base(identity.account, epoch, position)
    heads = {device: Head(*head) for device, head in point.heads.items()}
    ledger.begin_at(database, position, point.received_ms, heads)
    database.run("DELETE FROM reading")
    database.run("DELETE FROM reading_states")
