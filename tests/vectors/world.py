"""The account of all vectors: three devices, a stranger and a phrase, from seeds that never change."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from tests.vectors import reference as ref
from tests.vectors.reference import Change, Identity, Run


class Vector(NamedTuple):
    """One file of `spec/vectors/<topic>/<case>.json`; bytes inside become hexadecimal."""

    topic: str
    case: str
    note: str
    input: Mapping[str, Any]
    expect: Mapping[str, Any]


def seed(name: str) -> bytes:
    """32 bytes that look random and are always the same."""
    return sha256(b"echolia vectors: " + name.encode()).digest()


def filler(name: str, length: int = 256) -> bytes:
    """Bytes that stand for a sealed body."""
    return b"".join(seed(f"{name} {n}") for n in range(-(-length // 32)))[:length]


def identity(name: str) -> Identity:
    """The device of this name."""
    return Identity(seed(f"{name} sign"), seed(f"{name} box"))


LAPTOP, PHONE, TABLET, STRANGER = map(identity, ("laptop", "phone", "tablet", "stranger"))
ENTROPY = seed("phrase")
RECOVERY = Identity(
    ref.b(32, ENTROPY, b"", b"echolia1/rec-sgn"), ref.b(32, ENTROPY, b"", b"echolia1/rec-box")
)
GENESIS_FIELDS: Mapping[str, Any] = {
    "v": 1,
    "n": 0,
    "prev": bytes(32),
    "type": "genesis",
    "suite": 1,
    "nonce": seed("genesis nonce")[:16],
    "recovery": RECOVERY.public,
    "device": LAPTOP.public,
}
GENESIS = ref.cbor(GENESIS_FIELDS)
ACCOUNT = ref.account_of(GENESIS)
OTHER_ACCOUNT = seed("another account")[:16]
EPOCH = 4_503_599_627_370_497
NOTE, OTHER_NOTE = seed("a note")[:16], seed("another note")[:16]
ENTRIES, TAGS = (ref.b(16, seed("index key"), name, b"echolia1/stream") for name in (b"entries", b"tags"))


def change(name: str, **wrong: Any) -> Change:
    """A state of the first note whose body is filler; `wrong` replaces fields."""
    return Change(**{"body": filler(name), "object": NOTE, "stream": ENTRIES} | wrong)


def run(writer: Identity, *names: str, **wrong: Any) -> Run:
    """A run of `writer` from its first change on, a change for each name; `wrong` replaces fields."""
    fields: dict[str, Any] = {
        "account": ACCOUNT,
        "writer": writer,
        "changes": [change(name) for name in names],
    }
    return Run(**fields | wrong)


def after(run_before: Run, *names: str, **wrong: Any) -> Run:
    """The run that continues another."""
    place = {"first": run_before.last + 1, "prev": run_before.chains[-1]}
    return run(run_before.writer, *names, **place | wrong)


def devices(
    *members: Identity, revoked: Mapping[bytes, tuple[int, bytes]] | None = None
) -> list[dict[str, Any]]:
    """Devices of the account as vectors give them, with the cut-off (counter, chain) of those revoked."""
    listed: list[dict[str, Any]] = []
    for member in members:
        cutoff = (revoked or {}).get(member.id)
        ending = {} if cutoff is None else {"revoked": {"last": cutoff[0], "chain": cutoff[1]}}
        listed.append({"device": member.id, **member.public, **ending})
    return listed


def jsonable(value: Any) -> Any:
    """The value as JSON holds it."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {
            jsonable(key) if isinstance(key, bytes) else str(key): jsonable(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    return value


def flipped(raw: bytes, at: int = -1) -> bytes:
    """The bytes with one bit of the byte at `at` turned over."""
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)
