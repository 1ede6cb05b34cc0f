"""Runs and device logs by the rules that both ends share."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from echolia.core import runs
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.signing import verify
from tests.vectors.ends.vector_file import Found, VectorFile, logged_devices


class Forked(runs.RunInvalid):
    """`device_fork` at a counter, for ends that have no answer to put it in."""

    def __init__(self, at: int) -> None:
        EcholiaError.__init__(self, "device_fork")
        self.at = at


def run(vector: VectorFile) -> Found:
    """Everything in a run, its signature and its place in the device's chain verified."""
    frame, account = vector.raw("frame"), vector.raw("account")
    header = runs.read_header(frame)
    device = logged_devices(vector).get(header.device)
    if device is None:
        raise EcholiaError("device_unknown")
    ends = runs.change_ends(frame, header)
    chains = runs.chains(frame, header, ends)
    message = header.message(account, chains[-1])
    if not verify(device.sign, message, header.signature):
        raise EcholiaError("signature_invalid")
    known = _known_chain(vector, header.device)
    claimed = {header.first - 1: header.prev} | dict(enumerate(chains, header.first))
    if any(known.get(counter, chain) != chain for counter, chain in claimed.items()):
        raise Forked(header.first)
    seen = header.seen._asdict()
    place = {"suite": header.suite, "device": header.device, "first": header.first, "count": header.count}
    changes = [
        _change(each, chain)
        for each, chain in zip(runs.read_changes(frame, header, ends), chains, strict=True)
    ]
    end = {"prev": header.prev, "seen": seen, "signature": header.signature, "message": message}
    assert header.pack() == frame[: runs.RUN_HEADER_BYTES]
    assert runs.fold(header.prev, runs.leaves(frame, ends)) == chains[-1]
    return {**place, **end, "changes": changes}


def _known_chain(vector: VectorFile, device: bytes) -> dict[int, bytes]:
    known = {0: runs.chain_start(vector.raw("account"), device)}
    for before in map(bytes.fromhex, vector.given["before"]):
        header = runs.read_header(before)
        ends = runs.change_ends(before, header)
        known |= dict(enumerate(runs.chains(before, header, ends), header.first))
    return known


def _change(change: runs.Change, chain: bytes) -> dict[str, Any]:
    return {
        "counter": change.counter,
        "class": change.kind,
        "generation": change.generation,
        "object": change.object,
        "stream": change.stream,
        "context": list(change.context.items()),
        "header": change.header,
        "body_length": len(change.body),
        "leaf": sha256(change.header + change.body).digest(),
        "chain": chain,
    }


def _entry(fields: dict[str, Any]) -> SignedEntry:
    signatures = {name: bytes.fromhex(each) for name, each in fields["signatures"].items()}
    return SignedEntry(bytes.fromhex(fields["entry"]), signatures)


def _log(log: DeviceLog) -> Found:
    devices = [
        {
            "device": each.device,
            "sign": each.sign,
            "box": each.box,
            "added_n": each.added_n,
            "revoked": each.revoked and each.revoked._asdict(),
            "by": each.by,
            "confirmed": each.confirmed,
        }
        for each in log.devices.values()
    ]
    recovery = {"recovery_sign": log.recovery_sign, "recovery_box": log.recovery_box}
    keys = [{"generation": each.generation, "key": each.commitment, "by": each.by} for each in log.rotations]
    said = {"rotations": keys, "rotation_due": log.rotation_due}
    return {"account": log.account, "n": log.length, "head": log.head, **recovery, "devices": devices, **said}


def entries(vector: VectorFile) -> Iterable[SignedEntry]:
    """The device log's entries that a vector gives."""
    return map(_entry, vector.given["entries"])


def appended(vector: VectorFile) -> Found:
    """The device log as the server keeps it: verified so far, one more entry appended."""
    log = DeviceLog.replay(entries(vector), vector.raw("account"))
    return _log(log.append(_entry(vector.given["append"])) if "append" in vector.given else log)


def replayed(vector: VectorFile) -> Found:
    """The device log as a device is served it: all entries at once."""
    last = [_entry(vector.given["append"])] if "append" in vector.given else []
    return _log(DeviceLog.replay([*entries(vector), *last], vector.raw("account")))
