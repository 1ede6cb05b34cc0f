"""The formats of the specification, written a second time from its pages: no vector proves itself.

Nothing here imports `echolia`: two independent readings of one page give the same bytes, or one of them is
wrong. Every part may be made wrong on purpose, which is how the rejections come about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt, crypto_box

ZEROS_32 = bytes(32)


def h(*parts: bytes) -> bytes:
    """SHA-256 over the parts, one after the other."""
    return sha256(b"".join(parts)).digest()


def b(length: int, key: bytes, data: bytes, person: bytes) -> bytes:
    """Keyed, personalised BLAKE2b of `length` bytes."""
    return blake2b(data, digest_size=length, key=key, person=person.ljust(16, b"\0")).digest()


def u(bits: int, number: int) -> bytes:
    """An unsigned big-endian integer."""
    return number.to_bytes(bits // 8, "big")


def sign(seed: bytes, message: bytes) -> bytes:
    """The Ed25519 signature by the key of this seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def sign_public(seed: bytes) -> bytes:
    """The Ed25519 public key of this seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def box_public(secret: bytes) -> bytes:
    """The X25519 public key of this secret."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def cbor(value: Any) -> bytes:
    """Deterministic CBOR of what the specification uses: no floats, no tags."""
    match value:
        case None | bool():
            return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
        case int():
            return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
        case bytes():
            return cbor_head(2, len(value)) + value
        case str():
            return cbor_head(3, len(value.encode())) + value.encode()
        case list() | tuple():
            return cbor_head(4, len(value)) + b"".join(map(cbor, value))
        case dict():
            pairs = sorted((cbor(key), cbor(each)) for key, each in value.items())
            return cbor_head(5, len(value)) + b"".join(key + each for key, each in pairs)
    raise TypeError(type(value).__name__)


def cbor_head(major: int, number: int) -> bytes:
    """The shortest head of a CBOR item."""
    if number < 24:
        return u(8, major << 5 | number)
    size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size)
    return u(8, major << 5 | 23 + size.bit_length()) + u(8 * size, number)


def padme(length: int) -> int:
    """The least length from 256 on, not under `length`, whose low E - S bits are zero; by trying them."""
    length = max(length, 256)
    while True:
        exponent = math.floor(math.log2(length))
        low_bits = exponent - (math.floor(math.log2(exponent)) + 1)
        if length % (1 << low_bits) == 0:
            return length
        length += 1


@dataclass(frozen=True)
class Identity:
    """A device, or the recovery phrase, by the seeds of its two key pairs."""

    sign_seed: bytes
    box_secret: bytes

    @property
    def public(self) -> dict[str, bytes]:
        """Both public keys, as device log entries carry them."""
        return {"sign": sign_public(self.sign_seed), "box": box_public(self.box_secret)}

    @property
    def id(self) -> bytes:
        """The device id."""
        return h(b"echolia/1/device", self.public["sign"], self.public["box"])[:16]


@dataclass(frozen=True)
class Change:
    """A change; `context` keeps the order it is given in, `body_length` defaults to the true one."""

    body: bytes
    kind: int = 1
    generation: int = 1
    object: bytes = bytes(16)
    stream: bytes = bytes(16)
    context: Sequence[tuple[bytes, int]] = ()
    body_length: int | None = None

    @property
    def header(self) -> bytes:
        """Everything before the body."""
        pairs = b"".join(device + u(64, counter) for device, counter in self.context)
        length = len(self.body) if self.body_length is None else self.body_length
        fixed = u(8, self.kind) + u(32, self.generation) + self.object + self.stream
        return fixed + u(8, len(self.context)) + pairs + u(32, length)

    @property
    def raw(self) -> bytes:
        """The change's exact bytes."""
        return self.header + self.body

    @property
    def leaf(self) -> bytes:
        """Its hash."""
        return h(self.raw)


Seen = tuple[int, int, bytes]
NOTHING: Seen = (0, 0, ZEROS_32)


def chain_start(account: bytes, device: bytes) -> bytes:
    """A device's chain(0)."""
    return h(b"echolia/1/chain", account, device)


def chain(prev: bytes, changes: Sequence[Change]) -> list[bytes]:
    """The chain hash after each of these changes."""
    hashes = []
    for change in changes:
        prev = h(prev, change.leaf)
        hashes.append(prev)
    return hashes


@dataclass(frozen=True)
class Run:
    """A run of `writer` for `account`; every field that could be wrong may be given wrong."""

    account: bytes
    writer: Identity
    changes: Sequence[Change]
    first: int = 1
    prev: bytes | None = None  # None: chain(0)
    seen: Seen = NOTHING
    version: int = 1
    suite: int = 1
    count: int | None = None
    signer: Identity | None = None
    signed_account: bytes | None = None
    signature: bytes | None = None
    device: bytes = field(default=b"")

    @property
    def start(self) -> bytes:
        """`prev` as it stands in the header."""
        return chain_start(self.account, self.name) if self.prev is None else self.prev

    @property
    def name(self) -> bytes:
        """The device id as it stands in the header."""
        return self.device or self.writer.id

    @property
    def last(self) -> int:
        """Counter of the last change there is."""
        return self.first + len(self.changes) - 1

    @property
    def chains(self) -> list[bytes]:
        """The chain hash after each change."""
        return chain(self.start, self.changes)

    @property
    def message(self) -> bytes:
        """What is signed."""
        tail = [self.start, *self.chains][-1]
        who = (self.signed_account or self.account) + self.name
        place = u(64, self.last) + tail + u(64, self.seen[0]) + u(64, self.seen[1]) + self.seen[2]
        return b"echolia/1/run" + u(8, self.suite) + who + place

    @property
    def signed(self) -> bytes:
        """The signature."""
        return self.signature or sign((self.signer or self.writer).sign_seed, self.message)

    @property
    def header(self) -> bytes:
        """The 174 bytes before the changes."""
        count = len(self.changes) if self.count is None else self.count
        place = u(64, self.first) + u(32, count) + self.start
        seen = u(64, self.seen[0]) + u(64, self.seen[1]) + self.seen[2]
        return u(8, self.version) + u(8, self.suite) + self.name + place + seen + self.signed

    @property
    def frame(self) -> bytes:
        """The run's bytes."""
        return self.header + b"".join(change.raw for change in self.changes)


def log_start(account: bytes, epoch: int) -> bytes:
    """log(0)."""
    return h(b"echolia/1/log", account, u(64, epoch))


def log_link(before: bytes, seq: int, run: Run, received_ms: int) -> bytes:
    """The log's hash after a run whose first change takes position `seq`."""
    count, chained = u(32, len(run.changes)), u(64, run.last) + run.chains[-1]
    return h(before, u(64, seq), count, run.name, chained, u(64, received_ms))


def push(frames: Sequence[bytes], version: int = 1) -> bytes:
    """A push body."""
    return u(8, version) + u(16, len(frames)) + b"".join(u(32, len(frame)) + frame for frame in frames)


def item(seq: int, received_ms: int, form: int, content: bytes) -> bytes:
    """An item of a page."""
    return u(64, seq) + u(64, received_ms) + u(8, form) + u(32, len(content)) + content


def page(head: Seen, items: Sequence[bytes], more: int = 0, version: int = 1) -> bytes:
    """A page whose log head is `head`: epoch, seq, hash."""
    place = u(64, head[0]) + u(64, head[1]) + head[2]
    return u(8, version) + u(8, more) + place + u(32, len(items)) + b"".join(items)


def elided(run: Run) -> bytes:
    """The content of an elided item."""
    return run.header + run.chains[-1]


def partial(run: Run, wanted: Sequence[bool]) -> bytes:
    """The content of a partial item: the wanted changes, the leaves of the others."""
    pairs = zip(run.changes, wanted, strict=True)
    return run.header + b"".join(b"\1" + each.raw if whole else b"\0" + each.leaf for each, whole in pairs)


def wrap(
    account_key: bytes, nonce: bytes, object_key: bytes, account: bytes, object_: bytes, generation: int
) -> bytes:
    """An object key under an account key."""
    aad = b"echolia/1/object-key" + account + object_ + u(32, generation)
    return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(object_key, aad, nonce, account_key)


def seal(
    wrapped: bytes,
    object_key: bytes,
    nonce: bytes,
    padded: bytes,
    place: tuple[bytes, bytes, int],
    change: Change,
    suite: int = 1,
) -> bytes:
    """A body holding `padded`, tied to its place (account, device, counter) and to the change's header."""
    account, device, counter = place
    derived = b(64, object_key, nonce, b"echolia1/subkey")
    aad = b"echolia/1/change" + u(8, suite) + account + device + u(64, counter) + change.header
    return (
        wrapped
        + nonce
        + derived[32:]
        + crypto_aead_xchacha20poly1305_ietf_encrypt(padded, aad, nonce, derived[:32])
    )


def pad(plaintext: bytes, length: int) -> bytes:
    """The plaintext as it is sealed in a body of `length` bytes."""
    return plaintext + b"\x80" + bytes(length - 145 - len(plaintext))


def sealed_box(message: bytes, recipient: bytes, ephemeral_secret: bytes) -> bytes:
    """What libsodium's crypto_box_seal makes, with the ephemeral key given instead of thrown."""
    public = box_public(ephemeral_secret)
    nonce = blake2b(public + recipient, digest_size=24).digest()
    return public + crypto_box(message, nonce, recipient, ephemeral_secret)


def entry_hash(entry: bytes) -> bytes:
    """What the next entry of a device log names as `prev`."""
    return h(b"echolia/1/device-log", entry)


def account_of(genesis: bytes) -> bytes:
    """The account that a genesis entry starts."""
    return h(b"echolia/1/account", genesis)[:16]
