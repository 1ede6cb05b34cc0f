"""Vectors of the bytes that devices sign, and of the log's hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.reference import h, u
from tests.vectors.world import ACCOUNT, EPOCH, GENESIS, LAPTOP, PHONE, Vector, flipped, run, seed

CHALLENGE = seed("challenge")


def _messages() -> dict[str, tuple[dict[str, Any], bytes]]:
    verified: dict[str, Any] = {"epoch": EPOCH, "seq": 12, "log": seed("log hash")}
    place = u(64, EPOCH) + u(64, 12) + verified["log"]
    acked: dict[str, Any] = {
        "account": ACCOUNT,
        "device": LAPTOP.id,
        "verified": verified,
        "n": 2,
        "head": seed("device log head"),
    }
    boxed: dict[str, Any] = {
        "account": ACCOUNT,
        "generation": 1,
        "recipient_box": PHONE.public["box"],
        "box": b"any sealed box",
    }
    return {
        "login": (
            {"device": LAPTOP.id, "challenge": CHALLENGE},
            b"echolia/1/login" + LAPTOP.id + CHALLENGE,
        ),
        "recovery": (
            {"recovery": PHONE.id, "challenge": CHALLENGE},
            b"echolia/1/recovery" + PHONE.id + CHALLENGE,
        ),
        "delete-account": (
            {"account": ACCOUNT, "challenge": CHALLENGE},
            b"echolia/1/delete-account" + ACCOUNT + CHALLENGE,
        ),
        "restore": (
            {"account": ACCOUNT, "store": "apple", "receipt": "a receipt", "challenge": CHALLENGE},
            b"echolia/1/restore" + ACCOUNT + h(b"apple\0a receipt") + CHALLENGE,
        ),
        "ack": (acked, b"echolia/1/ack" + ACCOUNT + LAPTOP.id + place + u(32, 2) + acked["head"]),
        "key-box": (
            boxed,
            b"echolia/1/key-box" + ACCOUNT + u(32, 1) + h(PHONE.public["box"]) + h(boxed["box"]),
        ),
        "device-log-entry": ({"entry": GENESIS}, b"echolia/1/device-log-entry" + GENESIS),
    }


def cases() -> Iterator[Vector]:
    """Each message and its signature, broken signatures, the log's start and links."""
    for kind, (fields, message) in _messages().items():
        expect = {"message": message, "signature": ref.sign(LAPTOP.sign_seed, message)}
        given = {"kind": kind, "sign_seed": LAPTOP.sign_seed, **fields}
        yield Vector("message", kind, "What a device signs, and its signature.", given, expect)
    yield from _signatures()
    yield from _log()


def _signatures() -> Iterator[Vector]:
    message = b"a message"
    good = ref.sign(LAPTOP.sign_seed, message)
    order = 2**252 + 27742317777372353535851937790883648493
    malleated = good[:32] + (int.from_bytes(good[32:], "little") + order).to_bytes(32, "little")
    low_order = bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
    key = LAPTOP.public["sign"]
    broken = {
        "flipped": (key, message, flipped(good), "One bit of the signature is turned over."),
        "other-message": (key, message + b"!", good, "The signature is over another message."),
        "other-key": (PHONE.public["sign"], message, good, "The signature is another device's."),
        "short": (key, message, good[:-1], "The signature lacks its last byte."),
        "long": (key, message, good + b"\0", "The signature has a byte too many."),
        "moved-border": (
            key,
            message,
            ref.sign(LAPTOP.sign_seed, b"!" + message) + b"!",
            "A longer message was signed, whose first byte now ends the signature.",
        ),
        "empty": (key, message, b"", "There is no signature."),
        "malleated": (
            key,
            message,
            malleated,
            "S was raised by the group's order: the same to a lax verifier.",
        ),
        "short-key": (key[:-1], message, good, "The key lacks its last byte."),
        "low-order-key": (
            low_order,
            message,
            low_order + bytes(32),
            "A key of small order vouches for nothing.",
        ),
    }
    fields = {"key": key, "message": message, "signature": good}
    yield Vector("signature", "holds", "A signature that holds.", fields, {"valid": True})
    for case, (public, said, signature, note) in broken.items():
        fields = {"key": public, "message": said, "signature": signature}
        yield Vector("signature", f"refused-{case}", note, fields, {"valid": False})


def _log() -> Iterator[Vector]:
    start: dict[str, Any] = {"epoch": EPOCH, "seq": 0, "log": ref.log_start(ACCOUNT, EPOCH)}
    given: dict[str, Any] = {"account": ACCOUNT, "epoch": EPOCH, "runs": []}
    yield Vector("log", "start", "The empty log of an account in an epoch.", given, start)
    first, second = run(LAPTOP, "one", "two", "three"), run(PHONE, "four")
    one = ref.log_link(start["log"], 1, first, 1_700_000_000_000)
    two = ref.log_link(one, 4, second, 1_700_000_000_001)
    links = [
        {"count": len(r.changes), "device": r.name, "last": r.last, "chain": r.chains[-1], "received_ms": ms}
        for r, ms in ((first, 1_700_000_000_000), (second, 1_700_000_000_001))
    ]
    yield Vector(
        "log",
        "one-run",
        "A run of three changes takes the positions 1 to 3.",
        {**given, "runs": links[:1]},
        {"epoch": EPOCH, "seq": 3, "log": one},
    )
    end = {"epoch": EPOCH, "seq": 4, "log": two}
    yield Vector("log", "two-runs", "Each link binds the one before.", {**given, "runs": links}, end)
