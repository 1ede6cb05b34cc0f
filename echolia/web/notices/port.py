"""The port between server processes that serve the same accounts: what happened here and is news there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple, Protocol


class HeadMoved(NamedTuple):
    """The head of an account's log is at `seq` of `epoch` now."""

    account: bytes
    epoch: int
    seq: int


class Ended(NamedTuple):
    """A device was revoked, deleted or signed out; `device` is None when all of the account end."""

    account: bytes
    device: bytes | None


class Missed(NamedTuple):
    """Some notices may have been lost: whoever hears this compares for itself."""


MISSED: Final = Missed()
Notice = HeadMoved | Ended | Missed
# Both return at once and raise nothing.
Hear = Callable[[Notice], None]
Tell = Callable[[Notice], None]


class Notices(Protocol):
    """A way between processes.

    A notice is a hint: the truth is in the databases. It may come late or twice, and of several heads of one
    account only the newest may come. But it never gets lost silently: `Missed` comes in its place.
    """

    def joined(self, hear: Hear) -> AbstractAsyncContextManager[Tell]:
        """While the block lasts, `hear` is called with what the others tell; what it gives tells them."""
        ...
