"""What requests share and features know of each other: who asks, which devices an account has, what it may
have, how it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from echolia.core.errors import EcholiaError


@dataclass(frozen=True, slots=True)
class Caller:
    """The device that a verified access token speaks for.

    `account` and `device` are ids (16 bytes); `expires` is the token's end in Unix seconds, `issued_ms` when
    it was made in Unix milliseconds.
    """

    account: bytes
    device: bytes
    expires: int
    issued_ms: int = 0


class Standing(NamedTuple):
    """An account's device log in short: Ed25519 keys of every device ever added, of those revoked the counter
    of their last change that counts, length and head.
    """

    keys: Mapping[bytes, bytes]
    revoked: Mapping[bytes, int]
    length: int
    head: bytes

    def key_of(self, device: bytes) -> bytes:
        """A device's Ed25519 key; raises `device_unknown` where it is in no entry.

        A device may have a valid token and be unknown: the directory came back from a backup.
        """
        key = self.keys.get(device)
        if key is None:
            raise EcholiaError("device_unknown")
        return key


OnEnd = Callable[[bytes, bytes | None], None]
# Given account, device and the counter of its last change that counts: held while a revocation is written.
CutOff = Callable[[bytes, bytes, int], AbstractAsyncContextManager[None]]
# Gives n secret random bytes.
Dice = Callable[[int], bytes]


class Devices(Protocol):
    """What other features may ask about devices; `echolia.auth` answers."""

    def admits(self, caller: Caller) -> None:
        """Return if the caller may still act, from memory alone.

        Raises: `device_revoked`, `account_unknown`, `token_expired`.
        """
        ...

    async def standing(self, account: bytes, device: bytes = b"") -> Standing:
        """The account's devices, cached, but read again where `device` is not yet one; raises
        `account_unknown`."""
        ...

    def on_end(self, callback: OnEnd) -> None:
        """Have `callback(account, device)` called when a device is revoked; `device` is None when all end."""
        ...


class Quota(NamedTuple):
    """What an account's tier lets it have; 0 is no limit.

    `bytes` stored, distinct `objects`, and `changes_per_minute`. A push that frees room may exceed the
    first two by `reserve_bytes` and `reserve_objects`.
    """

    tier: str
    bytes: int = 0
    objects: int = 0
    changes_per_minute: int = 0
    reserve_bytes: int = 0
    reserve_objects: int = 0


class ModelQuota(NamedTuple):
    """What an account's tier lets it ask of models; 0 is no limit.

    `tokens_per_day` of a day in UTC, in and out; `micro_usd_per_month` are millionths of a dollar in 30 days;
    `concurrent` requests at a time.
    """

    tier: str
    tokens_per_day: int = 0
    micro_usd_per_month: int = 0
    concurrent: int = 0


class Entitlements(Protocol):
    """What other features may ask about what an account is entitled to; asked at every push."""

    async def quota(self, account: bytes) -> Quota:
        """The account's quota, from memory as a rule."""
        ...


class ModelEntitlements(Protocol):
    """The same of models; asked at every ask."""

    async def models(self, account: bytes) -> ModelQuota:
        """What it may ask of models, from memory as a rule."""
        ...


class EmbeddingEntitlements(Protocol):
    """The same of embeddings, which cost nothing but tokens."""

    async def embeddings(self, account: bytes) -> ModelQuota:
        """What it may have embedded, from memory as a rule."""
        ...


class Meter(Protocol):
    """Counts what embedding takes; `echolia.llm` does so beside its asks."""

    async def reserve(self, account: bytes, model: str, tokens: int, quota: ModelQuota) -> bytes:
        """Room for so many tokens; gives what `settle` needs.

        Raises: `quota_exceeded`, `rate_limited` for too much at a time, `StorageError`.
        """
        ...

    async def settle(  # all that a charge is
        self, account: bytes, lease: bytes, model: str, tokens: int, status: str, quota: ModelQuota
    ) -> dict[str, Any] | None:
        """Charge so many in place of what was reserved; what `told` says then. Raises nothing: None where it
        could not be charged.
        """
        ...

    async def told(self, account: bytes, quota: ModelQuota) -> dict[str, Any]:
        """The quota and what is used, as devices get it. Raises: `StorageError`."""
        ...


class DeviceEntitlements(Protocol):
    """The same of devices; asked when one is added."""

    async def devices(self, account: bytes) -> int:
        """How many it may have at a time."""
        ...


class Proofs(Protocol):
    """What other features may ask a device to prove; `echolia.auth` answers."""

    async def spend(self, caller: Caller, challenge: bytes, message: bytes, signature: bytes) -> None:
        """Return if the challenge was given to the caller of late and its signature is over the message.

        The challenge is spent, whatever follows. Raises: `challenge_invalid`, `signature_invalid`.
        """
        ...


class Fact(NamedTuple):
    """One thing that the server has of an account (`spec/ledger.md`).

    `place` is where it lies, `database.table.column` or beginning with `memory` or `log`; `value` is as JSON
    carries it, None where it is not counted; `what` and `why` are for people.
    """

    place: str
    what: str
    value: Any
    why: str


def facts_of(words: Mapping[str, tuple[str, str]], values: Mapping[str, Any]) -> list[Fact]:
    """A fact for each place; the words are what it is and why it is needed."""
    return [Fact(place, what, values[place], why) for place, (what, why) in words.items()]


class Keeper(Protocol):
    """Something that keeps what is about an account; each feature is one, and says all of it."""

    async def facts(self, account: bytes) -> list[Fact]:
        """All that it has of the account."""
        ...


class Refusal(EcholiaError):
    """An error whose answer carries more than its code.

    `retry_after_s` becomes the header Retry-After; `members` are further members of the problem document, and
    `errors` its list of places: neither ever holds what was sent.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        retry_after_s: int | None = None,
        members: Mapping[str, Any] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(code, detail)
        self.retry_after_s = retry_after_s
        self.members = dict(members or {})
        self.errors = list(errors)
