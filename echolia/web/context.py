"""What requests share and features know of each other: who asks, which devices an account has, how it is
refused.
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


class Devices(Protocol):
    """What other features may ask about devices; `echolia.auth` answers."""

    def admits(self, caller: Caller) -> None:
        """Return if the caller may still act, from memory alone.

        Raises: `device_revoked`, `account_unknown`, `token_expired`.
        """
        ...

    async def standing(self, account: bytes) -> Standing:
        """The account's devices, cached; raises `account_unknown`."""
        ...

    def on_end(self, callback: OnEnd) -> None:
        """Have `callback(account, device)` called when a device is revoked; `device` is None when all end."""
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
