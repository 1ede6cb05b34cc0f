"""What requests share and features know of each other: who asks, which devices an account has, how it is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """An account's device log in short: Ed25519 keys of every device ever added, which are revoked, length
    and head.
    """

    keys: Mapping[bytes, bytes]
    revoked: frozenset[bytes]
    length: int
    head: bytes


OnEnd = Callable[[bytes, bytes | None], None]


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
