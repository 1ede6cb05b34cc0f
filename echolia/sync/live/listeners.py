"""Who listens in this process: one small object each, and no task, lease or timer while nothing happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from echolia.core.errors import EcholiaError

MAX_LISTENERS: Final = 32


class Head(NamedTuple):
    """Where a log's head is: what is told, and what a client names to go on from."""

    epoch: int
    seq: int


class Listener:
    """One live stream: the newest head that it has not told, and why it ended ("" while it has not)."""

    __slots__ = ("_new", "_told", "account", "device", "ended", "on_news")

    def __init__(self, account: bytes, device: bytes) -> None:
        self.account = account
        self.device = device
        self.ended = ""
        self.on_news: Callable[[], None] = _nobody
        self._new: Head | None = None
        self._told: Head | None = None

    def begin(self, head: Head, known: Head | None) -> None:
        """The head now; not to be told if it is the one that the client knows."""
        if self._new is None:  # or it has moved already, while this one was read
            if head == known:
                self._told = head
            else:
                self.tell(head)

    def tell(self, head: Head) -> None:
        """The head moved; an earlier one that was not taken yet is forgotten."""
        if head != self._told:
            self._new = head
            self.on_news()

    def end(self, code: str) -> None:
        """There will be no more news, by reason of this code."""
        self.ended = self.ended or code
        self.on_news()

    def take(self) -> Head | None:
        """The head that is news, once."""
        head, self._new = self._new, None
        self._told = head or self._told
        return head


def _nobody() -> None:
    pass


class Listeners:
    """The live streams of every account in this process."""

    def __init__(self) -> None:
        self._by_account: dict[bytes, set[Listener]] = {}

    def add(self, account: bytes, device: bytes) -> Listener:
        """One more, until it is removed or ended; raises `listeners_full`."""
        listeners = self._by_account.setdefault(account, set())
        if len(listeners) >= MAX_LISTENERS:
            raise EcholiaError("listeners_full", f"at most {MAX_LISTENERS} an account")
        listener = Listener(account, device)
        listeners.add(listener)
        return listener

    def remove(self, listener: Listener) -> None:
        """It listens no longer; a second call does nothing."""
        listeners = self._by_account.get(listener.account, set())
        listeners.discard(listener)
        if not listeners:
            self._by_account.pop(listener.account, None)

    def tell(self, account: bytes, head: Head) -> None:
        """Tell everybody who listens that the head moved."""
        for listener in self._by_account.get(account, ()):
            listener.tell(head)

    def end(self, account: bytes, device: bytes | None, code: str) -> None:
        """End the streams of a device, or (None) of the whole account; their places are free at once."""
        for listener in tuple(self._by_account.get(account, ())):
            if device is None or listener.device == device:
                listener.end(code)
                self.remove(listener)

    def wake(self) -> None:
        """Have every stream look whether it may go on."""
        for listeners in self._by_account.values():
            for listener in listeners:
                listener.on_news()

    def of(self, account: bytes) -> dict[bytes, int]:
        """How many streams each of an account's devices has open."""
        return dict(Counter(listener.device for listener in self._by_account.get(account, ())))

    def accounts(self) -> tuple[bytes, ...]:
        """The accounts that somebody listens to."""
        return tuple(self._by_account)

    @property
    def count(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._by_account.values()))
