"""Where several processes serve the same accounts: whose an account is, and how a request gets there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

Headers = Sequence[tuple[bytes, bytes]]

# Stands for an account where a request belongs to none and one process is to see all of its kind.
REGISTRAR: Final = bytes(16)
# In an ASGI scope: the id that a request had in the process that handed it over.
HANDED_OVER: Final = "echolia.handed_over"


class Question(NamedTuple):
    """A request as it is handed over: its id here, and what an ASGI scope has of it; the body is whole."""

    request_id: str
    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes
    client: str

    def __repr__(self) -> str:
        """Nothing of what was asked."""
        return f"Question({self.request_id})"


class Forwarded(NamedTuple):
    """An answer of another process, complete with all its headers; `path` is the template of its route."""

    status: int
    headers: Headers
    body: bytes
    path: str

    def __repr__(self) -> str:
        """Nothing of what was answered."""
        return f"Forwarded({self.status})"


class Place(Protocol):
    """An account's place in this process while a request of it runs."""

    def leave(self) -> None:
        """The request has ended."""
        ...


class Owners(Protocol):
    """What the gate asks before it serves an account; `echolia.workers` answers where there are several."""

    def enter(self, account: bytes) -> Place | None:
        """The account's place here; None where it belongs to another process."""
        ...

    async def forward(self, account: bytes, question: Question) -> Forwarded | None:
        """The owner's answer; None where the account is ours by now.

        Raises: `storage_elsewhere`, `unavailable`, `StorageError`.
        """
        ...


class Here:
    """Everything is ours: there is one process. It is every account's place as well."""

    def enter(self, _account: bytes) -> Place:
        """See `Owners.enter`."""
        return self

    def leave(self) -> None:
        """See `Place.leave`: nobody counts."""

    async def forward(self, _account: bytes, _question: Question) -> None:
        """See `Owners.forward`."""


HERE: Final = Here()
