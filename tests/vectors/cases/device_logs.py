"""Vectors of device logs: who belongs to an account, and everything that must not be believed about it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import cbor2

from tests.vectors import reference as ref
from tests.vectors.reference import Identity
from tests.vectors.world import (
    ACCOUNT,
    GENESIS_FIELDS,
    LAPTOP,
    OTHER_ACCOUNT,
    PHONE,
    RECOVERY,
    STRANGER,
    TABLET,
    Vector,
    flipped,
    run,
    seed,
)

# u = 1, of order 4: whoever seals to it shares a secret with everybody.
SMALL_ORDER = b"\1" + bytes(31)
CHAIN = run(PHONE, "one").chains[-1]


class Entry(NamedTuple):
    """An entry's bytes and its signatures."""

    entry: bytes
    signatures: Mapping[str, bytes]

    def json(self) -> dict[str, Any]:
        """The entry as vectors give it."""
        return {"entry": self.entry, "signatures": dict(self.signatures)}


class Unsealable(Identity):
    """A device whose X25519 key is of small order."""

    @property
    def public(self) -> dict[str, bytes]:
        """See `Identity.public`."""
        return {**super().public, "box": SMALL_ORDER}


def name(signer: Identity) -> str:
    """How signatures name their signer."""
    return "recovery" if signer is RECOVERY else base64.urlsafe_b64encode(signer.id).decode().rstrip("=")


def signed(fields: Mapping[str, Any] | bytes, *signers: Identity) -> Entry:
    """An entry with the signatures of these."""
    entry = fields if isinstance(fields, bytes) else ref.cbor(dict(fields))
    message = b"echolia/1/device-log-entry" + entry
    return Entry(entry, {name(signer): ref.sign(signer.sign_seed, message) for signer in signers})


def place(before: Entry, n: int) -> dict[str, Any]:
    """What every entry after `before` has."""
    return {"v": 1, "n": n, "prev": ref.entry_hash(before.entry)}


def add_fields(before: Entry, n: int, device: Identity, by: Identity) -> dict[str, Any]:
    """The fields of an addition."""
    return {**place(before, n), "type": "add", "device": device.public, "by": by.id}


def revoke_fields(before: Entry, n: int, device: Identity, by: bytes) -> dict[str, Any]:
    """The fields of a revocation; the device's one change stays."""
    return {**place(before, n), "type": "revoke", "device": device.id, "last": 1, "chain": CHAIN, "by": by}


GENESIS = signed(GENESIS_FIELDS, RECOVERY, LAPTOP)
ADD = signed(add_fields(GENESIS, 1, PHONE, LAPTOP), LAPTOP, PHONE)
REVOKE = signed(revoke_fields(ADD, 2, PHONE, LAPTOP.id), LAPTOP)
LATER = signed(add_fields(REVOKE, 3, TABLET, LAPTOP), LAPTOP, TABLET)


def listed(
    device: Identity, added_n: int, revoked: bool = False, by: Identity = LAPTOP, confirmed: bool = False
) -> dict[str, Any]:
    """A device as the log makes it known."""
    cutoff, alone = {"last": 1, "chain": CHAIN} if revoked else None, added_n == 0 or by is RECOVERY
    said = {"by": b"" if alone else by.id, "confirmed": alone or confirmed}
    return {"device": device.id, **device.public, "added_n": added_n, "revoked": cutoff, **said}


def expect(
    entries: list[Entry], *members: dict[str, Any], recovery: Identity = RECOVERY, due: bool | None = None
) -> dict[str, Any]:
    """What a whole log says; a rotation is due (`due`) where there is a revocation, unless said otherwise."""
    head = ref.entry_hash(entries[-1].entry)
    keys = {f"recovery_{kind}": key for kind, key in recovery.public.items()}
    fields = [cbor2.loads(entry.entry) for entry in entries]
    rotations = [
        {name: each[name] for name in ("generation", "key", "by")}
        for each in fields
        if each["type"] == "rotate"
    ]
    due = any(each["type"] == "revoke" for each in fields) if due is None else due
    said = {"rotations": rotations, "rotation_due": due}
    return {"account": ACCOUNT, "n": len(entries), "head": head, **keys, "devices": list(members), **said}


def cases() -> Iterator[Vector]:
    """Logs that hold, then those that do not."""
    by_words = signed({**add_fields(GENESIS, 1, PHONE, LAPTOP), "by": b""}, RECOVERY, PHONE)
    by_phrase = signed(revoke_fields(ADD, 2, PHONE, b""), RECOVERY)
    own = signed(revoke_fields(ADD, 2, PHONE, PHONE.id), PHONE)
    second = signed(add_fields(ADD, 2, TABLET, PHONE), PHONE, TABLET)
    nothing = signed(revoke_fields(ADD, 2, PHONE, LAPTOP.id) | {"last": 0, "chain": seed("c0")}, LAPTOP)
    cut = listed(PHONE, 1, True)
    none_left = {**listed(PHONE, 1), "revoked": {"last": 0, "chain": seed("c0")}}
    laptop, phone, tablet = listed(LAPTOP, 0), listed(PHONE, 1), listed(TABLET, 3)
    good: dict[str, tuple[str, list[Entry], list[dict[str, Any]]]] = {
        "genesis": ("A new account.", [GENESIS], [laptop]),
        "add": ("A second device.", [GENESIS, ADD], [laptop, phone]),
        "add-by-the-added": (
            "An added device adds another.",
            [GENESIS, ADD, second],
            [laptop, phone, listed(TABLET, 2, by=PHONE)],
        ),
        "add-by-recovery": (
            "The phrase adds a device.",
            [GENESIS, by_words],
            [laptop, listed(PHONE, 1, by=RECOVERY)],
        ),
        "revoke": ("A device is revoked by another.", [GENESIS, ADD, REVOKE], [laptop, cut]),
        "revoke-by-recovery": (
            "A device is revoked by the phrase.",
            [GENESIS, ADD, by_phrase],
            [laptop, cut],
        ),
        "revoke-itself": ("A device leaves.", [GENESIS, ADD, own], [laptop, cut]),
        "revoke-all-changes": ("None of its changes stays.", [GENESIS, ADD, nothing], [laptop, none_left]),
        "whole": ("Genesis, add, revoke, add.", [GENESIS, ADD, REVOKE, LATER], [laptop, cut, tablet]),
    }
    for case, (note, entries, members) in good.items():
        yield Vector("device-log", case, note, given_log(entries), expect(entries, *members))
    for case, (note, entries, error) in {
        **_geneses(),
        **_spellings(),
        **_additions(),
        **_revocations(),
        **_unsealable(),
    }.items():
        # The account is the one that this genesis would start: its id must not be what gives it away.
        account = ref.account_of(entries[0].entry) if entries else ACCOUNT
        yield Vector("device-log", f"refused-{case}", note, given_log(entries, account), {"error": error})
    given = given_log([GENESIS], account=OTHER_ACCOUNT)
    note = "The genesis of another account."
    yield Vector("device-log", "refused-other-account", note, given, {"error": "device_log_invalid"})
    yield from _older_heads()


def given_log(entries: list[Entry], account: bytes = ACCOUNT) -> dict[str, Any]:
    return {"account": account, "entries": [entry.json() for entry in entries]}


Refused = dict[str, tuple[str, list[Entry], str]]


def _geneses() -> Refused:
    invalid, unsupported = "device_log_invalid", "unsupported_version"

    def genesis(**wrong: Any) -> list[Entry]:
        return [signed({**GENESIS_FIELDS, **wrong}, RECOVERY, LAPTOP)]

    without = {key: each for key, each in GENESIS_FIELDS.items() if key != "nonce"}
    raw = GENESIS.entry
    return {
        "empty-log": ("No log at all.", [], invalid),
        "version-2": ("A later version.", genesis(v=2), unsupported),
        "suite-2": ("A later suite.", genesis(suite=2), unsupported),
        "suite-true": ("True is not a suite.", genesis(suite=True), invalid),
        "version-true": ("True is not 1.", genesis(v=True), invalid),
        "genesis-n-1": ("A genesis is number 0.", genesis(n=1), invalid),
        "genesis-n-false": ("False is not 0.", genesis(n=False), invalid),
        "genesis-prev": ("Nothing is before a genesis.", genesis(prev=bytes(31) + b"\1"), invalid),
        "genesis-key-missing": ("No nonce.", [signed(without, RECOVERY, LAPTOP)], invalid),
        "genesis-key-additional": ("A key nobody knows.", genesis(more=1), invalid),
        "genesis-nonce-short": ("A nonce of 15 bytes.", genesis(nonce=bytes(15)), invalid),
        "genesis-device-key-short": (
            "A key of 31 bytes.",
            genesis(device={**LAPTOP.public, "sign": bytes(31)}),
            invalid,
        ),
        "genesis-device-key-additional": (
            "A device of three keys.",
            genesis(device={**LAPTOP.public, "more": bytes(32)}),
            invalid,
        ),
        "genesis-recovery-missing": ("No recovery keys.", genesis(recovery=None), invalid),
        "unknown-type": ("A type nobody knows.", genesis(type="merge"), invalid),
        "genesis-of-other-type": (
            "The keys of a genesis, the type of another.",
            genesis(type="rotate"),
            invalid,
        ),
        "type-not-text": ("A type that is a number.", genesis(type=1), invalid),
        "starts-with-add": ("A log starts with a genesis.", [ADD], invalid),
        "genesis-unsigned-by-recovery": ("Only the device signed.", [signed(raw, LAPTOP)], invalid),
        "genesis-unsigned-by-device": ("Only the phrase signed.", [signed(raw, RECOVERY)], invalid),
        "genesis-signed-by-more": ("A third signature.", [signed(raw, RECOVERY, LAPTOP, PHONE)], invalid),
        "genesis-signature-flipped": (
            "A signature does not verify.",
            [Entry(raw, {**GENESIS.signatures, "recovery": flipped(GENESIS.signatures["recovery"])})],
            invalid,
        ),
        "genesis-signatures-swapped": (
            "Each under the other's name.",
            [
                Entry(
                    raw,
                    dict(zip(GENESIS.signatures, reversed(list(GENESIS.signatures.values())), strict=True)),
                )
            ],
            invalid,
        ),
    }


def _spellings() -> Refused:
    invalid, raw = "device_log_invalid", GENESIS.entry
    unsorted = b"\xa2\x61v\x01\x61n\x00"
    too_long = ref.cbor({**GENESIS_FIELDS, "more": bytes(1024)})
    return {
        "not-cbor": ("Bytes that are not CBOR.", [signed(b"\xff\xff", RECOVERY, LAPTOP)], invalid),
        "no-map": ("A list.", [signed(ref.cbor([1]), RECOVERY, LAPTOP)], invalid),
        "no-version": ("A map without a version.", [signed(ref.cbor({"n": 0}), RECOVERY, LAPTOP)], invalid),
        "additional-byte": ("A byte after the entry.", [signed(raw + b"\0", RECOVERY, LAPTOP)], invalid),
        "long-head": (
            "The map's length in two bytes.",
            [signed(b"\xb8\x08" + raw[1:], RECOVERY, LAPTOP)],
            invalid,
        ),
        "indefinite-length": (
            "A map without its length.",
            [signed(b"\xbf" + raw[1:] + b"\xff", RECOVERY, LAPTOP)],
            invalid,
        ),
        "unsorted-keys": ("v before n.", [signed(unsorted, RECOVERY, LAPTOP)], invalid),
        "too-long": ("An entry beyond 1,024 bytes.", [signed(too_long, RECOVERY, LAPTOP)], invalid),
    }


def _additions() -> Refused:
    invalid = "device_log_invalid"

    def adding(
        *signers: Identity, by: Identity = LAPTOP, device: Identity = PHONE, **wrong: Any
    ) -> list[Entry]:
        return [GENESIS, signed({**add_fields(GENESIS, 1, device, by), **wrong}, *signers)]

    both = (LAPTOP, PHONE)
    by_revoked = signed(add_fields(REVOKE, 3, TABLET, PHONE), PHONE, TABLET)
    return {
        "add-version-2": ("A later version.", adding(*both, v=2), "unsupported_version"),
        "add-n-2": ("A number is left out.", adding(*both, n=2), invalid),
        "add-n-0": ("A number is given twice.", adding(*both, n=0), invalid),
        "add-n-true": ("True is not 1.", adding(*both, n=True), invalid),
        "add-prev": ("It does not follow the genesis.", adding(*both, prev=seed("prev")), invalid),
        "add-prev-zero": ("It follows nothing.", adding(*both, prev=bytes(32)), invalid),
        "add-key-missing": (
            "Nobody adds.",
            [GENESIS, signed({**place(GENESIS, 1), "type": "add", "device": PHONE.public}, *both)],
            invalid,
        ),
        "add-key-additional": ("A key nobody knows.", adding(*both, admin=True), invalid),
        "add-unsigned-by-adder": ("Only the new device signed.", adding(PHONE), invalid),
        "add-unsigned-by-device": ("Only the adder signed.", adding(LAPTOP), invalid),
        "add-signed-by-more": ("A third signature.", adding(*both, TABLET), invalid),
        "add-by-unknown": ("A stranger adds a device.", adding(STRANGER, PHONE, by=STRANGER), invalid),
        "add-by-itself": ("A device adds itself.", adding(PHONE, by=PHONE), invalid),
        "add-by-recovery-id": ("The phrase has no device id.", adding(RECOVERY, PHONE, by=RECOVERY), invalid),
        "add-by-recovery-unsigned": (
            "In the phrase's name, by a device.",
            [GENESIS, signed({**add_fields(GENESIS, 1, PHONE, LAPTOP), "by": b""}, *both)],
            invalid,
        ),
        "add-other-signer": (
            "The stranger's signature in the adder's place.",
            [GENESIS, Entry(ADD.entry, {**ADD.signatures, name(LAPTOP): _strange(ADD.entry)})],
            invalid,
        ),
        "add-by-revoked": ("A revoked device adds another.", [GENESIS, ADD, REVOKE, by_revoked], invalid),
        "add-twice": (
            "The phone again.",
            [GENESIS, ADD, signed(add_fields(ADD, 2, PHONE, LAPTOP), *both)],
            invalid,
        ),
        "add-revoked-again": (
            "The phone, though revoked.",
            [GENESIS, ADD, REVOKE, signed(add_fields(REVOKE, 3, PHONE, LAPTOP), *both)],
            invalid,
        ),
        "genesis-late": (
            "A genesis in the middle.",
            [GENESIS, signed({**GENESIS_FIELDS, **place(GENESIS, 1)}, RECOVERY, LAPTOP)],
            invalid,
        ),
        "genesis-twice": ("The genesis again.", [GENESIS, GENESIS], invalid),
        "entry-again": ("An entry again.", [GENESIS, ADD, ADD], invalid),
        "entry-left-out": ("The addition is missing.", [GENESIS, REVOKE], invalid),
    }


def _strange(entry: bytes) -> bytes:
    return ref.sign(STRANGER.sign_seed, b"echolia/1/device-log-entry" + entry)


def _revocations() -> Refused:
    invalid = "device_log_invalid"

    def revoking(
        *signers: Identity, device: Identity = PHONE, by: bytes = LAPTOP.id, **wrong: Any
    ) -> list[Entry]:
        return [GENESIS, ADD, signed({**revoke_fields(ADD, 2, device, by), **wrong}, *signers)]

    again = signed(revoke_fields(REVOKE, 3, PHONE, LAPTOP.id), LAPTOP)
    by_revoked = signed(revoke_fields(REVOKE, 3, LAPTOP, PHONE.id), PHONE)
    return {
        "revoke-unknown": ("A device that never was.", revoking(LAPTOP, device=STRANGER), invalid),
        "revoke-twice": ("The phone again.", [GENESIS, ADD, REVOKE, again], invalid),
        "revoke-by-revoked": ("The phone revokes the laptop.", [GENESIS, ADD, REVOKE, by_revoked], invalid),
        "revoke-by-unknown": ("A stranger revokes.", revoking(STRANGER, by=STRANGER.id), invalid),
        "revoke-unsigned": ("Nobody signed.", revoking(), invalid),
        "revoke-signed-by-other": ("Another device signed.", revoking(PHONE), invalid),
        "revoke-signed-by-more": ("A second signature.", revoking(LAPTOP, PHONE), invalid),
        "revoke-recovery-unsigned": ("In the phrase's name, by a device.", revoking(LAPTOP, by=b""), invalid),
        "revoke-last-negative": ("A counter below 0.", revoking(LAPTOP, last=-1), invalid),
        "revoke-last-too-large": ("A counter of 2^53.", revoking(LAPTOP, last=2**53), invalid),
        "revoke-last-true": ("True is no counter.", revoking(LAPTOP, last=True), invalid),
        "revoke-chain-short": ("A hash of 31 bytes.", revoking(LAPTOP, chain=bytes(31)), invalid),
        "revoke-key-additional": ("A key nobody knows.", revoking(LAPTOP, why="lost"), invalid),
    }


def _unsealable() -> Refused:
    invalid, phone = "device_log_invalid", Unsealable(PHONE.sign_seed, PHONE.box_secret)
    recovery = {**RECOVERY.public, "box": bytes(32)}
    return {
        "genesis-device-box-small-order": (
            "A first device to which nothing can be sealed.",
            [signed({**GENESIS_FIELDS, "device": phone.public}, RECOVERY, phone)],
            invalid,
        ),
        "genesis-recovery-box-small-order": (
            "A phrase to which nothing can be sealed.",
            [signed({**GENESIS_FIELDS, "recovery": recovery}, RECOVERY, LAPTOP)],
            invalid,
        ),
        "add-box-small-order": (
            "A device to which nothing can be sealed, with its own good signature.",
            [GENESIS, signed(add_fields(GENESIS, 1, phone, LAPTOP), LAPTOP, phone)],
            invalid,
        ),
    }


def _older_heads() -> Iterator[Vector]:
    second = signed(add_fields(GENESIS, 1, TABLET, LAPTOP), LAPTOP, TABLET)
    given = {**given_log([GENESIS, ADD]), "append": second.json()}
    errors = {"error": "device_log_conflict", "device_error": "device_log_invalid"}
    note = "Made on an older head: the server asks for another, a device that is served it believes nothing."
    yield Vector("device-log", "refused-append-on-older-head", note, given, errors)
    given = {**given_log([GENESIS]), "append": ADD.json()}
    note = "An entry appended to the log it was made on."
    yield Vector(
        "device-log", "append", note, given, expect([GENESIS, ADD], listed(LAPTOP, 0), listed(PHONE, 1))
    )
