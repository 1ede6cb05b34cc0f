"""Vectors of pairing: the code, the sealed messages, the commitment, the digits, the secrets' way over."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt

from tests.vectors import reference as ref
from tests.vectors.cases.device_logs import ADD, GENESIS
from tests.vectors.cases.envelopes import secrets
from tests.vectors.world import ACCOUNT, EPOCH, LAPTOP, OTHER_ACCOUNT, PHONE, TABLET, Vector, flipped, seed

SECRET, MAILBOX = seed("pairing secret"), seed("mailbox")[:16]
OWNER, GUEST = seed("owner ephemeral"), seed("guest ephemeral")
NONCE = seed("message nonce")[:24]
SERVER = "https://sync.example"
CODE: dict[str, Any] = {"v": 1, "s": SERVER, "m": MAILBOX, "k": SECRET}
REVEAL = {**PHONE.public, "eph": ref.box_public(GUEST), "nonce": seed("reveal nonce")[:16]}
RAW = ref.cbor(REVEAL)
COMMIT = ref.h(b"echolia/1/pair-commit", RAW)
LOW_ORDER = bytes(32)


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _text(fields: dict[str, Any] | bytes) -> str:
    return "echolia:" + _b64(fields if isinstance(fields, bytes) else ref.cbor(fields))


def cases() -> Iterator[Vector]:
    """All of them."""
    yield from _codes()
    yield from _messages()
    yield from _reveals()
    yield from _agreements()
    yield from _acks()


def _codes() -> Iterator[Vector]:
    token = ref.b(32, SECRET, b"", b"echolia1/mailbox")
    expect = {
        "server": SERVER,
        "mailbox": MAILBOX,
        "secret": SECRET,
        "token": token,
        "token_hash": ref.h(token),
    }
    yield Vector("pairing-code", "code", "What the existing device shows.", {"code": _text(CODE)}, expect)
    without = {key: each for key, each in CODE.items() if key != "m"}
    raw = ref.cbor(CODE)
    refused = {
        "empty": ("Nothing.", ""),
        "no-prefix": ("Not said to be Echolia's.", _text(CODE).removeprefix("echolia:")),
        "other-prefix": ("Another's.", _text(CODE).replace("echolia:", "another:")),
        "cut": ("Its end is missing.", _text(CODE)[:-4]),
        "not-base64url": ("Not base64url.", "echolia:+++"),
        "not-cbor": ("Not CBOR.", _text(b"\xff\xff\xff")),
        "no-map": ("A list.", _text(ref.cbor([1]))),
        "version-2": ("A later version.", _text(CODE | {"v": 2})),
        "version-true": ("True is not 1.", _text(CODE | {"v": True})),
        "key-missing": ("No mailbox.", _text(without)),
        "key-additional": ("A key nobody knows.", _text(CODE | {"x": 1})),
        "secret-short": ("A secret of 31 bytes.", _text(CODE | {"k": SECRET[:-1]})),
        "mailbox-long": ("A mailbox of 17 bytes.", _text(CODE | {"m": bytes(17)})),
        "server-bytes": ("An address that is no text.", _text(CODE | {"s": b"https"})),
        "not-deterministic": ("The map's length in two bytes.", _text(b"\xb8\x04" + raw[1:])),
    }
    for case, (note, text) in refused.items():
        error = "unsupported_version" if case == "version-2" else "pairing_code_invalid"
        yield Vector("pairing-code", f"refused-{case}", note, {"code": text}, {"error": error})


def _sealed(contents: bytes, side: bytes, n: int, nonce: bytes = NONCE) -> bytes:
    key = ref.b(32, SECRET, side + bytes([n]), b"echolia1/pairmsg")
    return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(contents, MAILBOX, nonce, key)


def _messages() -> Iterator[Vector]:
    note = "A message in the mailbox."
    contents = ref.cbor({"commit": COMMIT})
    for side, n in (("guest", 0), ("owner", 0), ("guest", 1), ("owner", 2)):
        given = _message(side, n, _sealed(contents, side.encode(), n))
        expect = {"contents": contents, "nonce": NONCE}
        yield Vector("pairing-message", f"{side}-{n}", note, given, expect)
    good = _sealed(contents, b"guest", 0)
    refused = {
        "own-side": ("One's own message sent back.", _message("owner", 0, good)),
        "other-n": ("A message of another number.", _message("guest", 1, good)),
        "other-mailbox": ("From another mailbox.", _message("guest", 0, good, mailbox=bytes(16))),
        "other-secret": ("Of another pairing.", _message("guest", 0, good, secret=bytes(32))),
        "flipped": ("A bit is turned over.", _message("guest", 0, flipped(good))),
        "nonce-flipped": ("A bit of the nonce is turned over.", _message("guest", 0, flipped(good, 0))),
        "cut": ("Its last byte is missing.", _message("guest", 0, good[:-1])),
        "empty": ("Nothing.", _message("guest", 0, b"")),
        "only-nonce": ("Nothing but a nonce.", _message("guest", 0, NONCE)),
        "no-map": ("A list is inside.", _message("guest", 0, _sealed(ref.cbor([1]), b"guest", 0))),
        "not-cbor": ("No CBOR is inside.", _message("guest", 0, _sealed(b"\xff", b"guest", 0))),
        "not-deterministic": (
            "A map without its length is inside.",
            _message("guest", 0, _sealed(b"\xbf\xff", b"guest", 0)),
        ),
    }
    for case, (note, given) in refused.items():
        yield Vector("pairing-message", f"refused-{case}", note, given, {"error": "pairing_failed"})


def _message(
    side: str, n: int, message: bytes, mailbox: bytes = MAILBOX, secret: bytes = SECRET
) -> dict[str, Any]:
    return {"secret": secret, "mailbox": mailbox, "side": side, "n": n, "message": message}


def _reveals() -> Iterator[Vector]:
    note = "The keys that the guest committed to."
    given = {"reveal": RAW, "commit": COMMIT}
    keys = {name: REVEAL[name] for name in ("sign", "box", "eph")}
    yield Vector("pairing-reveal", "reveal", note, given, keys)

    def committed(raw: bytes) -> dict[str, Any]:
        return {"reveal": raw, "commit": ref.h(b"echolia/1/pair-commit", raw)}

    without = {name: each for name, each in REVEAL.items() if name != "eph"}
    refused = {
        "other-keys": (
            "Other keys than were committed to.",
            {**given, "reveal": ref.cbor(REVEAL | {"eph": bytes(32)})},
        ),
        "other-commit": ("Another commitment.", {**given, "commit": flipped(COMMIT)}),
        "commit-cut": ("A commitment of 31 bytes.", {**given, "commit": COMMIT[:-1]}),
        "key-missing": ("No ephemeral key.", committed(ref.cbor(without))),
        "key-additional": ("A key nobody knows.", committed(ref.cbor(REVEAL | {"x": 1}))),
        "box-small-order": (
            "A device to which nothing can be sealed.",
            committed(ref.cbor(REVEAL | {"box": LOW_ORDER})),
        ),
        "key-short": ("A key of 31 bytes.", committed(ref.cbor(REVEAL | {"sign": bytes(31)}))),
        "not-deterministic": ("The map's length in two bytes.", committed(b"\xb8\x04" + RAW[1:])),
        "not-cbor": ("Not CBOR.", committed(b"\xff")),
    }
    for case, (note, wrong) in refused.items():
        yield Vector("pairing-reveal", f"refused-{case}", note, wrong, {"error": "pairing_failed"})


def _agreement(account: bytes, guest: bytes = GUEST) -> dict[str, bytes | str]:
    dh = X25519PrivateKey.from_private_bytes(OWNER).exchange(
        X25519PublicKey.from_public_bytes(ref.box_public(guest))
    )
    head = ref.entry_hash(GENESIS.entry)
    transcript = ref.h(MAILBOX, account, RAW, ref.box_public(OWNER), head)
    number = int.from_bytes(ref.b(32, dh, transcript, b"echolia1/pairsas")[:8], "big")
    key = ref.b(32, dh, transcript, b"echolia1/pairkey")
    plaintext = ref.cbor({"v": 1, **secrets((1,))})
    sealed = NONCE + crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ADD.entry, NONCE, key)
    return {
        "transcript": transcript,
        "digits": f"{number % 1_000_000:06}",
        "mac": ref.b(32, dh, transcript, b"echolia1/pairmac"),
        "sealed": sealed,
    }


def _meeting(**wrong: Any) -> dict[str, Any]:
    given = {
        "owner_secret": OWNER,
        "guest_secret": GUEST,
        "guest_public": ref.box_public(GUEST),
        "mailbox": MAILBOX,
        "account": ACCOUNT,
        "reveal": RAW,
        "log_head": ref.entry_hash(GENESIS.entry),
        "entry": ADD.entry,
        "nonce": NONCE,
        "secrets": secrets((1,)),
    }
    return given | wrong


def _agreements() -> Iterator[Vector]:
    note = "Both sides come to the same digits, the same proof and the same secrets."
    yield Vector("pairing-agreement", "agreement", note, _meeting(), _agreement(ACCOUNT))
    note = "Another account gives other digits."
    yield Vector(
        "pairing-agreement", "other-account", note, _meeting(account=OTHER_ACCOUNT), _agreement(OTHER_ACCOUNT)
    )
    note = "An ephemeral key of small order would make the secret known to everybody."
    given = _meeting(guest_public=LOW_ORDER)
    yield Vector("pairing-agreement", "refused-low-order", note, given, {"error": "pairing_failed"})
    sealed = _agreement(ACCOUNT)["sealed"]
    assert isinstance(sealed, bytes)
    other_entry = {"entry": GENESIS.entry, "sealed": sealed}
    refused = {
        "other-entry": ("The secrets belong to another entry.", other_entry),
        "flipped": ("A bit is turned over.", {"sealed": flipped(sealed)}),
        "cut": ("The last byte is missing.", {"sealed": sealed[:-1]}),
        "empty": ("Nothing.", {"sealed": b""}),
    }
    for case, (note, wrong) in refused.items():
        error = {"error": "pairing_failed"}
        yield Vector("pairing-agreement", f"refused-secrets-{case}", note, _meeting(**wrong), error)


def _ack(n: int = 2, head: bytes = ADD.entry, by: ref.Identity = LAPTOP, **other: Any) -> dict[str, Any]:
    """What `by` acknowledges with a device log of `n` entries up to `head`; `other` is changed afterwards."""
    place: dict[str, Any] = {"epoch": EPOCH, "seq": 12, "log": seed("log hash")}
    position = ref.u(64, place["epoch"]) + ref.u(64, place["seq"]) + place["log"]
    message = b"echolia/1/ack" + ACCOUNT + by.id + position + ref.u(32, n) + ref.entry_hash(head)
    return {**place, "signature": ref.sign(by.sign_seed, message)} | other


def _acks() -> Iterator[Vector]:
    log = {"account": ACCOUNT, "entries": [GENESIS.json(), ADD.json()], "by": LAPTOP.id}
    good = _ack()
    position = {name: good[name] for name in ("epoch", "seq", "log")}
    note = "What the owner had verified when it added the guest; the log sent in message 2 has two entries."
    yield Vector("pairing-ack", "ack", note, {**log, "ack": ref.cbor(good)}, position)
    nothing = {"epoch": 0, "seq": 0, "log": bytes(32)}
    message = b"echolia/1/ack" + ACCOUNT + LAPTOP.id + bytes(48) + ref.u(32, 2) + ref.entry_hash(ADD.entry)
    unseen = {**nothing, "signature": ref.sign(LAPTOP.sign_seed, message)}
    note = "An owner that has verified nothing."
    yield Vector("pairing-ack", "nothing-verified", note, {**log, "ack": ref.cbor(unseen)}, nothing)
    refused = {
        "other-seq": ("Another position than was signed.", _ack(seq=11)),
        "other-log": ("Another hash than was signed.", _ack(log=flipped(good["log"]))),
        "other-epoch": ("Another epoch than was signed.", _ack(epoch=EPOCH + 1)),
        "shorter-device-log": ("The owner held a device log of one entry.", _ack(1, GENESIS.entry)),
        "other-device-log": ("The owner held another device log.", _ack(2, GENESIS.entry)),
        "other-device": ("Another device signed it than the one that adds.", _ack(by=PHONE)),
        "stranger": ("A device of no account signed it.", _ack(by=TABLET)),
        "signature-flipped": ("A bit is turned over.", _ack(signature=flipped(good["signature"]))),
        "signature-missing": ("Nobody signed it.", {name: good[name] for name in position}),
        "key-additional": ("A key nobody knows.", _ack(x=1)),
        "seq-true": ("A boolean for a number.", _ack(seq=True)),
        "seq-negative": ("A position below zero.", _ack(seq=-1)),
        "log-short": ("A hash of 31 bytes.", _ack(log=bytes(31))),
    }
    for case, (note, wrong) in refused.items():
        given = {**log, "ack": ref.cbor(wrong)}
        yield Vector("pairing-ack", f"refused-{case}", note, given, {"error": "pairing_failed"})
    yield Vector(
        "pairing-ack", "refused-list", "No map.", {**log, "ack": ref.cbor([1])}, {"error": "pairing_failed"}
    )
