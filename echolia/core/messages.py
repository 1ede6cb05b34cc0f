"""The exact bytes that devices sign (`spec/sync.md`, `spec/auth.md`, `spec/keys.md`)."""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

from echolia.core.positions import LogPosition

_RUN_TAIL = Struct(">Q32sQQ32s")
_ACK = Struct(">QQ32sI32s")


def run_message(
    suite: int, account: bytes, device: bytes, last: int, chain: bytes, seen: LogPosition
) -> bytes:
    """What a run's signature covers: every change up to counter `last`, and what its writer had seen."""
    tail = _RUN_TAIL.pack(last, chain, seen.epoch, seen.seq, seen.log)
    return b"echolia/1/run" + bytes((suite,)) + account + device + tail


def ack_message(
    account: bytes, device: bytes, verified: LogPosition, devices_n: int, devices_head: bytes
) -> bytes:
    """What an acknowledgement's signature covers: log position, device log (`n` entries, last hash)."""
    body = _ACK.pack(verified.epoch, verified.seq, verified.log, devices_n, devices_head)
    return b"echolia/1/ack" + account + device + body


def login_message(device: bytes, challenge: bytes) -> bytes:
    """What a device signs to get tokens."""
    return b"echolia/1/login" + device + challenge


def recovery_message(recovery: bytes, challenge: bytes) -> bytes:
    """What the recovery phrase signs to be told its account; `recovery` is the id of its keys."""
    return b"echolia/1/recovery" + recovery + challenge


def delete_account_message(account: bytes, challenge: bytes) -> bytes:
    """What a device signs to delete its account."""
    return b"echolia/1/delete-account" + account + challenge


def restore_message(account: bytes, store: str, receipt: str, challenge: bytes) -> bytes:
    """What a device signs to have a purchase that is another account's."""
    digest = sha256(store.encode() + b"\0" + receipt.encode()).digest()
    return b"echolia/1/restore" + account + digest + challenge


def key_box_message(account: bytes, generation: int, recipient_box: bytes, box: bytes) -> bytes:
    """What a device signs to vouch for a key box; `recipient_box` is the recipient's X25519 public key."""
    parts = generation.to_bytes(4, "big") + sha256(recipient_box).digest() + sha256(box).digest()
    return b"echolia/1/key-box" + account + parts


def device_log_message(entry: bytes) -> bytes:
    """What signs a device log entry."""
    return b"echolia/1/device-log-entry" + entry
