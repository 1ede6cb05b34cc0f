"""Vectors of the device log's confirmations and generations of the account key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.cases.device_logs import (
    ADD,
    GENESIS,
    REVOKE,
    Entry,
    Refused,
    expect,
    given_log,
    listed,
    place,
    revoke_fields,
    signed,
)
from tests.vectors.reference import Identity
from tests.vectors.world import ACCOUNT, LAPTOP, PHONE, RECOVERY, STRANGER, Vector, seed


def cases() -> Iterator[Vector]:
    """Logs that hold, then those that do not."""
    given = {"account": ACCOUNT, "generation": 2, "key": seed("key 2")}
    note = "What a rotate entry says of its account key."
    yield Vector(
        "account-key", "commitment", note, given, {"commitment": rotate_fields(ADD, 2, LAPTOP)["key"]}
    )
    yield from _good(listed(LAPTOP, 0), listed(PHONE, 1), listed(PHONE, 1, True))
    for case, (note, entries, error) in {**_confirmations(), **_rotations()}.items():
        yield Vector("device-log", f"refused-{case}", note, given_log(entries), {"error": error})


def confirm_fields(before: Entry, n: int, device: Identity, by: Identity) -> dict[str, Any]:
    """The fields of a confirmation."""
    return {**place(before, n), "type": "confirm", "device": device.id, "by": by.id}


def rotate_fields(
    before: Entry, n: int, by: Identity, generation: int = 2, recovery: Identity = RECOVERY
) -> dict[str, Any]:
    """The fields of a rotation."""
    key = ref.h(b"echolia/1/account-key", ACCOUNT, generation.to_bytes(4, "big"), seed(f"key {generation}"))
    said = {"generation": generation, "key": key, "recovery": recovery.public, "by": by.id}
    return {**place(before, n), "type": "rotate", **said}


def by_phrase(entry: Entry, words: Identity) -> Entry:
    """The entry, signed as recovery by a phrase that is not the account's first one."""
    message = b"echolia/1/device-log-entry" + entry.entry
    return Entry(entry.entry, {**entry.signatures, "recovery": ref.sign(words.sign_seed, message)})


CONFIRM = signed(confirm_fields(ADD, 2, PHONE, LAPTOP), LAPTOP)
ROTATE = signed(rotate_fields(REVOKE, 3, LAPTOP), LAPTOP)


def _good(laptop: dict[str, Any], phone: dict[str, Any], cut: dict[str, Any]) -> Iterator[Vector]:
    again = signed(rotate_fields(ROTATE, 4, LAPTOP, 3), LAPTOP)
    words = by_phrase(signed(rotate_fields(ADD, 2, PHONE, recovery=STRANGER), PHONE), STRANGER)
    later = by_phrase(signed(revoke_fields(words, 3, PHONE, b"")), STRANGER)
    revoked = [GENESIS, ADD, REVOKE, ROTATE]
    good: dict[str, tuple[str, list[Entry], dict[str, Any]]] = {
        "confirm": (
            "Another device says that the phone belongs here.",
            [GENESIS, ADD, CONFIRM],
            expect([GENESIS, ADD, CONFIRM], laptop, listed(PHONE, 1, confirmed=True)),
        ),
        "rotate": (
            "What the revoked phone knew is not enough.",
            revoked,
            expect(revoked, laptop, cut, due=False),
        ),
        "rotate-twice": (
            "A third generation.",
            [*revoked, again],
            expect([*revoked, again], laptop, cut, due=False),
        ),
        "rotate-new-phrase": (
            "A new phrase, signed by it.",
            [GENESIS, ADD, words],
            expect([GENESIS, ADD, words], laptop, phone, recovery=STRANGER),
        ),
        "revoke-by-new-phrase": (
            "The new phrase revokes; a rotation is due.",
            [GENESIS, ADD, words, later],
            expect([GENESIS, ADD, words, later], laptop, cut, recovery=STRANGER),
        ),
    }
    for case, (note, entries, expected) in good.items():
        yield Vector("device-log", case, note, given_log(entries), expected)


def _confirmations() -> Refused:
    invalid = "device_log_invalid"

    def confirming(
        *signers: Identity, device: Identity = PHONE, by: Identity = LAPTOP, **wrong: Any
    ) -> list[Entry]:
        return [GENESIS, ADD, signed({**confirm_fields(ADD, 2, device, by), **wrong}, *signers)]

    twice = signed(confirm_fields(CONFIRM, 3, PHONE, LAPTOP), LAPTOP)
    late = signed(confirm_fields(REVOKE, 3, PHONE, LAPTOP), LAPTOP)
    return {
        "confirm-itself": ("The phone itself.", confirming(PHONE, by=PHONE), invalid),
        "confirm-first": (
            "The first device needs nobody.",
            confirming(PHONE, device=LAPTOP, by=PHONE),
            invalid,
        ),
        "confirm-unknown": ("A stranger.", confirming(LAPTOP, device=STRANGER), invalid),
        "confirm-by-unknown": ("By a stranger.", confirming(STRANGER, by=STRANGER), invalid),
        "confirm-by-recovery": ("By the phrase, which can add.", confirming(RECOVERY, by=RECOVERY), invalid),
        "confirm-unsigned": ("Nobody signed.", confirming(), invalid),
        "confirm-key-additional": ("A key nobody knows.", confirming(LAPTOP, until=1), invalid),
        "confirm-twice": ("Again.", [GENESIS, ADD, CONFIRM, twice], invalid),
        "confirm-revoked": ("What was revoked.", [GENESIS, ADD, REVOKE, late], invalid),
    }


def _rotations() -> Refused:
    invalid = "device_log_invalid"

    def rotating(*signers: Identity, by: Identity = LAPTOP, **wrong: Any) -> list[Entry]:
        return [GENESIS, ADD, signed({**rotate_fields(ADD, 2, by), **wrong}, *signers)]

    by_revoked = signed(rotate_fields(REVOKE, 3, PHONE), PHONE)
    former = by_phrase(signed(rotate_fields(ADD, 2, PHONE, recovery=STRANGER), PHONE), STRANGER)
    by_former = signed(revoke_fields(former, 3, PHONE, b""), RECOVERY)
    return {
        "rotate-generation-1": ("The generation that is.", rotating(LAPTOP, generation=1), invalid),
        "rotate-generation-3": ("A generation is left out.", rotating(LAPTOP, generation=3), invalid),
        "rotate-generation-true": ("True is no number.", rotating(LAPTOP, generation=True), invalid),
        "rotate-by-revoked": ("The revoked phone.", [GENESIS, ADD, REVOKE, by_revoked], invalid),
        "rotate-by-unknown": ("A stranger.", rotating(STRANGER, by=STRANGER), invalid),
        "rotate-by-recovery": ("The phrase rotates nothing.", rotating(RECOVERY, by=RECOVERY), invalid),
        "rotate-unsigned": ("Nobody signed.", rotating(), invalid),
        "rotate-signed-by-more": (
            "The phrase, which stays, signed too.",
            rotating(LAPTOP, RECOVERY),
            invalid,
        ),
        "rotate-phrase-unsigned": (
            "A new phrase that did not sign.",
            rotating(LAPTOP, recovery=STRANGER.public),
            invalid,
        ),
        "rotate-phrase-signed-by-former": (
            "A new phrase, and the former one signed.",
            rotating(LAPTOP, RECOVERY, recovery=STRANGER.public),
            invalid,
        ),
        "rotate-key-short": ("31 bytes.", rotating(LAPTOP, key=bytes(31)), invalid),
        "rotate-recovery-short": (
            "A key of 31 bytes.",
            rotating(LAPTOP, STRANGER, recovery={**STRANGER.public, "box": bytes(31)}),
            invalid,
        ),
        "revoke-by-former-phrase": (
            "The phrase that was replaced.",
            [GENESIS, ADD, former, by_former],
            invalid,
        ),
    }
