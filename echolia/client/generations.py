"""Generations of the account key: following them, and beginning the next (`spec/keys.md#generations`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from echolia.client import key_boxes, ledger
from echolia.client.database import Database
from echolia.client.device_entries import entry_json, fetch_device_log
from echolia.client.opening import OpenHome
from echolia.client.replica import Replica
from echolia.client.session import Refused, Session
from echolia.client.vault import Staged
from echolia.core.device_entries import RECOVERY, SignedEntry, key_commitment
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import device_log_message
from echolia.e2ee import sealing
from echolia.e2ee.keys import SECRET_BYTES, AccountSecrets, KeyPairs
from echolia.e2ee.recovery import phrase_of, recovery_keys

_ROUNDS: Final = 5
_OBJECTS_AT_ONCE: Final = 1000
_NOT_NOW: Final = {"device_new", "rate_limited"}


async def follow(opened: OpenHome, session: Session) -> None:
    """Have the newest account key: from the box for this device, or made here where a rotation is due.

    Call it when the device log was just fetched. Raises `key_box_withheld`, `key_box_invalid`.
    """
    log = await opened.replica.run(ledger.device_log, opened.replica.database)
    if log.generation > opened.vault.secrets.generation:
        await _adopt(opened, session, log)
    if log.rotation_due or opened.vault.staged is not None:
        try:
            await rotate(opened, session)
        except Refused as refused:
            if refused.code not in _NOT_NOW:
                raise  # a device that may will do it


async def rotate(opened: OpenHome, session: Session, *, entropy: bytes | None = None) -> bytes | None:
    """Begin the next generation, with a new recovery phrase if `entropy` (32 bytes) is one.

    Whatever interrupts it, the next sync goes on with the same key. Where somebody else has rotated
    meanwhile that is enough, unless there is a new phrase to bring in. Gives the entropy of the phrase that
    came with it, which may be that of an earlier try. Raises `device_new`.
    """
    replica = opened.replica
    staged = await replica.run(_stage, opened, entropy)
    for _ in range(_ROUNDS):
        log = await fetch_device_log(replica, session)
        if log.generation > opened.vault.secrets.generation:
            await _adopt(opened, session, log)
        if opened.vault.staged is None:
            return staged.entropy
        signed, boxes = await replica.run(_prepared, opened, log)
        try:
            await session.ask("POST", "/auth/rotate", {**entry_json(signed), "key_boxes": boxes})
        except Refused as refused:
            if refused.code != "device_log_conflict":
                await replica.run(_give_up, opened, refused.code)
                raise
    raise EcholiaError("device_log_conflict")


def _stage(opened: OpenHome, entropy: bytes | None) -> Staged:
    """The next key, on disk before anybody hears of it."""
    staged = opened.vault.staged
    if staged is None or (entropy is not None and staged.entropy is None):
        key = staged.key if staged is not None else opened.replica.environment.dice(SECRET_BYTES)
        staged = Staged(key, entropy)
        opened.keep(replace(opened.vault, staged=staged))
    return staged


def _give_up(opened: OpenHome, code: str) -> None:
    """A device that may not rotate keeps no key for it; a new phrase was never shown."""
    if code == "device_new":
        opened.keep(replace(opened.vault, staged=None))


def _prepared(opened: OpenHome, log: DeviceLog) -> tuple[SignedEntry, list[dict[str, object]]]:
    """The entry and the boxes of the next generation, of which nothing becomes unreadable."""
    staged, vault = _stage(opened, None), opened.vault
    secrets = vault.secrets.followed_by(staged.key)
    # As the recipients will read them: what is checked is what is sealed.
    check_objects(opened.replica.database, vault.secrets, AccountSecrets.decode(secrets.encode()))
    recovery = None if staged.entropy is None else recovery_keys(phrase_of(staged.entropy))
    public = {"sign": log.recovery_sign, "box": log.recovery_box} if recovery is None else recovery.public()
    key = key_commitment(log.account, secrets.generation, staged.key)
    said = {"generation": secrets.generation, "key": key, "recovery": public, "by": vault.keys.device}
    entry = entry_bytes("rotate", log, said)
    signers: dict[str, KeyPairs] = {b64(vault.keys.device): vault.keys}
    if recovery is not None and recovery.sign_public != log.recovery_sign:
        signers[RECOVERY] = recovery
    message = device_log_message(entry)
    signed = SignedEntry(entry, {name: keys.sign(message) for name, keys in signers.items()})
    return signed, key_boxes.for_everybody(secrets, vault.keys, log.append(signed))


async def _adopt(opened: OpenHome, session: Session, log: DeviceLog) -> None:
    """Take the log's newest generation, made here or elsewhere, and seal with it from now on."""
    vault, own = opened.vault, b64(opened.vault.keys.device)
    boxes, log = await boxes_with_log(opened.replica, session, log, own)
    secrets = key_boxes.opened(boxes, log, own, vault.keys)
    if not vault.secrets.inside(secrets):
        raise EcholiaError("key_box_invalid", "former keys are missing or others")
    staged, newest = vault.staged, log.rotations[-1]
    mine = staged is not None and any(each.commits_to(log.account, staged.key) for each in log.rotations)
    if newest.by == vault.keys.device:
        # The others' boxes, and recovery's above all, are this device's to see to.
        for name, public in {RECOVERY: log.recovery_box, **_boxes_of(log)}.items():
            key_boxes.check_signed(key_boxes.of(boxes, name, newest.generation), log, public)
    await opened.replica.run(_switch, opened, secrets, mine, log.rotation_due)


async def boxes_with_log(
    replica: Replica, session: Session, log: DeviceLog, recipient: str
) -> tuple[list[Mapping[str, Any]], DeviceLog]:
    """The boxes, and the device log that they fit: somebody may rotate between the two questions."""
    boxes: list[Mapping[str, Any]] = []
    for _ in range(_ROUNDS):
        boxes = await key_boxes.fetched(session)
        if not any(_is_newer(box, recipient, log.generation) for box in boxes):
            break
        log = await fetch_device_log(replica, session)
    return boxes, log


def _is_newer(box: Mapping[str, Any], recipient: str, generation: int) -> bool:
    told = box.get("generation")
    return box.get("recipient") == recipient and type(told) is int and told > generation


def _boxes_of(log: DeviceLog) -> dict[str, bytes]:
    return {b64(each.device): each.box for each in log.active() if each.added_n < log.rotations[-1].n}


def _switch(opened: OpenHome, secrets: AccountSecrets, mine: bool, due: bool) -> None:
    vault, replica = opened.vault, opened.replica
    check_objects(replica.database, vault.secrets, secrets)
    staged = vault.staged
    if mine and staged is not None:
        vault = replace(vault, staged=None, entropy=staged.entropy or vault.entropy)
    elif staged is not None and staged.entropy is None and not due:
        vault = replace(vault, staged=None)
    opened.keep(replace(vault, secrets=secrets))
    replica.identity = replica.identity.renewed(opened.vault)


def check_objects(database: Database, former: AccountSecrets, secrets: AccountSecrets) -> int:
    """Return how many objects' keys open with `secrets`: as many as with the former ones, and to the same.

    Raises `key_missing`.
    """
    before, after = (_count_and_root(database, each) for each in (former, secrets))
    if before != after:
        raise EcholiaError("key_missing", f"{before[0]} objects open with the former keys, {after[0]} now")
    return after[0]


def _count_and_root(database: Database, secrets: AccountSecrets) -> tuple[int, bytes]:
    count, root = 0, sha256()
    for id_, generation, wrapped in _wrapped_keys(database):
        try:
            key = sealing.unwrap(secrets, id_, generation, wrapped).key
        except EcholiaError:
            continue  # it opened neither before nor after
        count += 1
        root.update(id_ + sha256(key).digest())
    return count, root.digest()


def _wrapped_keys(database: Database) -> Iterator[tuple[bytes, int, bytes]]:
    last = b""
    while True:
        rows = database.rows(
            "SELECT id, generation, wrapped FROM objects WHERE id > ? AND length(wrapped) > 0"
            " ORDER BY id LIMIT ?",
            last, _OBJECTS_AT_ONCE,
        )  # fmt: skip
        if not rows:
            return
        yield from rows
        last = rows[-1][0]
