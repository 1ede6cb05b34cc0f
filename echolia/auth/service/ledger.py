"""What auth has of an account, told to its devices column by column (`spec/ledger.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from echolia.auth.service.devices import AccountDevices
from echolia.auth.service.pairing import Waiting
from echolia.auth.store import ledger as store
from echolia.auth.store.ledger import Held, Mailbox
from echolia.core.device_entries import RECOVERY
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.storage.engine import Database
from echolia.web.context import Fact, facts_of

_MEMBERS: Final = "Devices check by it who belongs to the account."
_SIGN_IN: Final = "So that a device can sign in."
_DELETED: Final = "Once it is deleted a hash of its id stays, so that tokens still about are refused."
_BOX: Final = "A device that is added, or the phrase, gets the keys from it. The server cannot open it."
_RECOVERY: Final = "So that whoever has the recovery phrase finds the account without a device."
_CHALLENGE: Final = "A device signs one to sign in; it lives a minute."
_TOKEN: Final = "So that a device need not sign in again each time, and a stolen token is noticed."  # noqa: S105
_PAIRING: Final = "Two devices speak through it while one is added; it ends after two minutes."

# Place → what it is, and why it is needed.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "directory.accounts.account": ("the account's id, random", "Tells accounts apart."),
    "directory.accounts.created_ms": ("when the account was made", "Tells old accounts from new ones."),
    "directory.accounts.log_length": ("entries of the device log", "Two devices cannot both add the next."),
    "directory.accounts.log_head": ("hash of the last entry", "Two devices cannot both add the next."),
    "directory.accounts.deleting": ("whether it is being deleted", "A deletion survives a crash."),
    "directory.tombstones.hash": ("hash of a deleted account's id", _DELETED),
    "directory.tombstones.deleted_ms": ("when it was deleted", _DELETED),
    "directory.device_log.account": ("the account that the device log is of", _MEMBERS),
    "directory.device_log.n": ("its entries: devices added, devices revoked", _MEMBERS),
    "directory.device_log.entry": ("the entries: ids and public keys", _MEMBERS),
    "directory.device_log.signatures": ("their signatures", _MEMBERS),
    "directory.devices.device": ("ids of the devices", _SIGN_IN),
    "directory.devices.account": ("the account they are in", _SIGN_IN),
    "directory.devices.sign": ("their public keys for signatures", _SIGN_IN),
    "directory.devices.revoked_ms": ("when devices were revoked", "A revoked device is refused."),
    "directory.devices.added_ms": ("when they were added", "A new device may not add or revoke others."),
    "directory.recoveries.recovery": ("the id of the recovery phrase's keys", _RECOVERY),
    "directory.recoveries.account": ("the account that the phrase recovers", _RECOVERY),
    "directory.recoveries.sign": ("the phrase's public key for signatures", _RECOVERY),
    "directory.key_boxes.account": ("the account that sealed boxes of keys are of", _BOX),
    "directory.key_boxes.recipient": ("whom the boxes are for", _BOX),
    "directory.key_boxes.generation": ("the newest generation of keys for each", _BOX),
    "directory.key_boxes.box": ("the sealed boxes", _BOX),
    "directory.key_boxes.signature": ("the boxes' signatures", "Nobody else can put a box there."),
    "directory.key_boxes.signer": ("who signed them", "Nobody else can put a box there."),
    "directory.challenges.challenge": ("challenges that were given out", _CHALLENGE),
    "directory.challenges.device": ("the devices they were given to", _CHALLENGE),
    "directory.challenges.expires_ms": ("when the last challenge ends", _CHALLENGE),
    "directory.refresh_tokens.hash": ("refresh tokens by device, as hashes", _TOKEN),
    "directory.refresh_tokens.family": ("the sign-ins they come from", _TOKEN),
    "directory.refresh_tokens.account": ("the account the tokens are of", _TOKEN),
    "directory.refresh_tokens.device": ("the devices the tokens are of", _TOKEN),
    "directory.refresh_tokens.expires_ms": ("when the last token of each device ends", _TOKEN),
    "directory.refresh_tokens.used_ms": ("how many tokens were used, and when last", _TOKEN),
    "directory.mailboxes.mailbox": ("the open mailbox for pairing", _PAIRING),
    "directory.mailboxes.account": ("the account the mailbox is of", _PAIRING),
    "directory.mailboxes.token_hash": ("hash of the new device's token", _PAIRING),
    "directory.mailboxes.expires_ms": ("when the mailbox ends", _PAIRING),
    "directory.mailboxes.wrong_tokens": ("how often a wrong token came to it", _PAIRING),
    "directory.mailboxes.confirmed": ("whether the device was added", _PAIRING),
    "directory.mailbox_messages.mailbox": ("messages in the mailbox", _PAIRING),
    "directory.mailbox_messages.side": ("which side they came from", _PAIRING),
    "directory.mailbox_messages.n": ("how many messages of each side", _PAIRING),
    "directory.mailbox_messages.message": ("the sealed messages", _PAIRING),
    "memory.devices": (
        "the device log read before, and devices refused since the server started",
        "Requests are checked without the disk.",
    ),
    "memory.mailbox": ("devices that wait for the other in pairing", _PAIRING),
    "memory.sign_ups": ("when accounts were made in the last minute", "Too many at once have to do work."),
    "nowhere.access_tokens": ("access tokens", "The server knows its own signature; they end after minutes."),
}


@dataclass(frozen=True, slots=True)
class AuthLedger:
    """A `web.context.Keeper`: the directory's rows of an account, and what is remembered beside them."""

    db: Database
    devices: AccountDevices
    waiting: Waiting

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`; raises `account_unknown`."""
        held = await store.held(self.db, account)
        if held is None:
            raise EcholiaError("account_unknown")
        values = {
            **_account(account, held),
            **_devices(account, held),
            **_key_boxes(account, held),
            **_sign_ins(account, held),
            **_mailbox(account, held.mailbox),
            "memory.devices": self.devices.remembered(account, held.devices),
            "memory.mailbox": self.waiting.on_mailbox(held.mailbox.mailbox) if held.mailbox else 0,
            "memory.sign_ups": "not kept by account",
            "nowhere.access_tokens": "not kept",
        }
        return facts_of(WORDS, values)


def _account(account: bytes, held: Held) -> dict[str, Any]:
    count, entries, signatures = held.log_bytes
    return {
        "directory.accounts.account": b64(account),
        "directory.accounts.created_ms": _at(held.created_ms),
        "directory.accounts.log_length": held.log_length,
        "directory.accounts.log_head": b64(held.log_head),
        "directory.accounts.deleting": held.deleting,
        "directory.tombstones.hash": held.tombstones,
        "directory.tombstones.deleted_ms": held.tombstones,
        "directory.device_log.account": b64(account),
        "directory.device_log.n": count,
        "directory.device_log.entry": {"count": count, "bytes": entries},
        "directory.device_log.signatures": {"count": count, "bytes": signatures},
    }


def _devices(account: bytes, held: Held) -> dict[str, Any]:
    devices = {b64(device): found for device, found in held.devices.items()}
    return {
        "directory.devices.device": list(devices),
        "directory.devices.account": b64(account),
        "directory.devices.sign": {device: b64(sign) for device, (sign, _, _) in devices.items()},
        "directory.devices.revoked_ms": {
            device: _at(at_ms) for device, (_, at_ms, _) in devices.items() if at_ms is not None
        },
        "directory.devices.added_ms": {device: _at(at_ms) for device, (_, _, at_ms) in devices.items()},
    }


def _key_boxes(account: bytes, held: Held) -> dict[str, Any]:
    boxes = {(b64(recipient) if recipient else RECOVERY): box for recipient, box in held.boxes.items()}
    return {
        "directory.recoveries.recovery": b64(held.recovery[0]) if held.recovery else "",
        "directory.recoveries.account": b64(account),
        "directory.recoveries.sign": b64(held.recovery[1]) if held.recovery else "",
        "directory.key_boxes.account": b64(account),
        "directory.key_boxes.recipient": list(boxes),
        "directory.key_boxes.generation": {recipient: box.newest for recipient, box in boxes.items()},
        "directory.key_boxes.box": {
            recipient: {"count": box.count, "bytes": box.box_bytes} for recipient, box in boxes.items()
        },
        "directory.key_boxes.signature": {"bytes": sum(box.signature_bytes for box in boxes.values())},
        "directory.key_boxes.signer": [b64(signer) for signer in held.signers],
    }


def _sign_ins(account: bytes, held: Held) -> dict[str, Any]:
    count, expires_ms = held.challenges or (None, None)
    tokens = {b64(device): found for device, found in held.tokens.items()}
    return {
        "directory.challenges.challenge": count,
        "directory.challenges.device": count,
        "directory.challenges.expires_ms": _at(expires_ms),
        "directory.refresh_tokens.hash": {device: found.count for device, found in tokens.items()},
        "directory.refresh_tokens.family": {device: found.sign_ins for device, found in tokens.items()},
        "directory.refresh_tokens.account": b64(account),
        "directory.refresh_tokens.device": list(tokens),
        "directory.refresh_tokens.expires_ms": {
            device: _at(found.expires_ms) for device, found in tokens.items()
        },
        "directory.refresh_tokens.used_ms": {
            device: {"count": found.used, **_at(found.used_ms)} for device, found in tokens.items()
        },
    }


def _mailbox(account: bytes, found: Mailbox | None) -> dict[str, Any]:
    sides = found.messages if found else {}
    return {
        "directory.mailboxes.mailbox": [b64(found.mailbox)] if found else [],
        "directory.mailboxes.account": [b64(account)] if found else [],
        "directory.mailboxes.token_hash": int(found is not None),
        "directory.mailboxes.expires_ms": _at(found.expires_ms if found else None),
        "directory.mailboxes.wrong_tokens": found.wrong_tokens if found else 0,
        "directory.mailboxes.confirmed": found.confirmed if found else False,
        "directory.mailbox_messages.mailbox": sum(count for count, _ in sides.values()),
        "directory.mailbox_messages.side": list(sides),
        "directory.mailbox_messages.n": {side: count for side, (count, _) in sides.items()},
        "directory.mailbox_messages.message": {side: {"bytes": size} for side, (_, size) in sides.items()},
    }


def _at(at_ms: int | None) -> dict[str, int]:
    return {} if at_ms is None else {"at_ms": at_ms}
