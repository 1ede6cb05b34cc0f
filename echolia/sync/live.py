"""Who is listening for an account's head, in this process (`spec/sync.md#live`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.core.positions import LogPosition

MAX_LISTENERS: Final = 32


class Listener:
    """One live stream: the newest head it has not been told, or the news that it must end."""

    def __init__(self, device: bytes) -> None:
        self.device = device
        self._head: LogPosition | None = None
        self._ended = False
        self._news = asyncio.Event()

    def tell(self, head: LogPosition) -> None:
        """The head moved; an earlier one that was not picked up yet is forgotten."""
        self._head = head
        self._news.set()

    def end(self) -> None:
        """The device or its account is gone."""
        self._ended = True
        self._news.set()

    async def next(self, seconds: float) -> LogPosition | None:
        """The next head, or None after that many seconds without one. Raises `device_revoked` at the end."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return None
        if self._ended:
            raise EcholiaError("device_revoked")
        self._news.clear()
        return self._head


class Listeners:
    """The live streams of every account."""

    def __init__(self) -> None:
        self._by_account: dict[bytes, set[Listener]] = {}

    @contextmanager
    def listening(self, account: bytes, device: bytes) -> Iterator[Listener]:
        """A listener for as long as the block lasts; raises `listeners_full`."""
        listeners = self._by_account.setdefault(account, set())
        if len(listeners) >= MAX_LISTENERS:
            raise EcholiaError("listeners_full", f"at most {MAX_LISTENERS} an account")
        listener = Listener(device)
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.discard(listener)
            if not listeners:
                self._by_account.pop(account, None)

    def tell(self, account: bytes, head: LogPosition) -> None:
        """Tell everybody who listens that the head moved."""
        for listener in self._by_account.get(account, ()):
            listener.tell(head)

    def end(self, account: bytes, device: bytes | None) -> None:
        """End the streams of a device, or (None) of the whole account."""
        for listener in self._by_account.get(account, ()):
            if device is None or listener.device == device:
                listener.end()

    def of(self, account: bytes) -> dict[bytes, int]:
        """How many streams each of an account's devices has open."""
        return dict(Counter(listener.device for listener in self._by_account.get(account, ())))

    @property
    def count(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._by_account.values()))
