"""Live streams from their opening to their end, in this process and with the news of the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import structlog

from echolia.core.errors import EcholiaError
from echolia.core.positions import LogPosition
from echolia.storage.engine import Batches
from echolia.sync.history import load
from echolia.sync.live.listeners import Head, Listener, Listeners
from echolia.web.context import Caller
from echolia.web.notices.port import Ended, HeadMoved, Missed, Notice, Notices, Tell
from echolia.web.streams import Event

Lease = Callable[[bytes], AbstractAsyncContextManager[Batches]]


class Standings(Protocol):
    """Who may still act; `echolia.auth` answers."""

    def admits(self, caller: Caller) -> None:
        """Return if the caller may still act; raises `device_revoked`, `account_unknown`, `token_expired`."""
        ...

    async def look_again(self, account: bytes | None) -> None:
        """Another process ended somebody of this account (None: of any): learn it from the directory."""
        ...


class Live:
    """Everybody who listens here; `lease` opens an account's database, `clock_ms` is the server's time."""

    def __init__(self, lease: Lease, standings: Standings, clock_ms: Callable[[], int]) -> None:
        self.listeners = Listeners()
        self._lease = lease
        self._standings = standings
        self._clock_ms = clock_ms
        self._tell: Tell = lambda _: None
        self._ended: list[Ended] = []
        self._missed = False
        self._heard = asyncio.Event()

    @asynccontextmanager
    async def joined(self, notices: Notices) -> AsyncIterator[None]:
        """Tell and hear the other processes while the block lasts."""
        async with notices.joined(self._hear) as self._tell:
            catching_up = asyncio.create_task(self._catch_up())
            try:
                yield
            finally:
                catching_up.cancel()
                await asyncio.gather(catching_up, return_exceptions=True)

    def moved(self, account: bytes, position: LogPosition) -> None:
        """A push of this process is on disk."""
        self.listeners.tell(account, Head(position.epoch, position.seq))
        self._tell(HeadMoved(account, position.epoch, position.seq))

    def ended(self, account: bytes, device: bytes | None) -> None:
        """This process refuses the device, or (None) the account, from now on."""
        self.listeners.end(account, device, "token_expired")
        self._tell(Ended(account, device))

    def close(self) -> None:
        """End all streams: the server is about to stop."""
        for account in self.listeners.accounts():
            self.listeners.end(account, None, "unavailable")

    async def open(self, caller: Caller, known: Head | None) -> LiveFeed:
        """A stream that begins with the head, unless that is the one already known.

        Raises: `listeners_full`, `StorageError`.
        """
        listener = self.listeners.add(caller.account, caller.device)
        try:
            listener.begin(await self._head(caller.account), known)
        except BaseException:
            self.listeners.remove(listener)
            raise
        return LiveFeed(self, caller, listener)

    def check(self, caller: Caller) -> float:
        """For how many seconds the caller may listen; raises `token_expired` and what `admits` raises."""
        left_s = caller.expires - self._clock_ms() / 1000
        if left_s <= 0:
            raise EcholiaError("token_expired")
        self._standings.admits(caller)
        return left_s

    async def _head(self, account: bytes) -> Head:
        # From the tables, whatever an owner remembers; the lease ends before anybody waits.
        async with self._lease(account) as db:
            state, _ = await load(db)
        return Head(state.position.epoch, state.position.seq)

    def _hear(self, notice: Notice) -> None:
        match notice:
            case HeadMoved(account, epoch, seq):
                self.listeners.tell(account, Head(epoch, seq))
                return
            case Ended():
                self._ended.append(notice)
            case Missed():
                self._missed = True
        self._heard.set()

    async def _catch_up(self) -> None:
        """Do about what was heard all that takes time."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            ended, self._ended = self._ended, []
            missed, self._missed = self._missed, False
            try:
                await self._apply(ended, missed)
            except EcholiaError:
                structlog.get_logger().warning("catch_up_failed")

    async def _apply(self, ended: list[Ended], missed: bool) -> None:
        for account in {notice.account for notice in ended}:
            await self._standings.look_again(account)
        for notice in ended:
            self.listeners.end(notice.account, notice.device, "token_expired")
        if missed:
            await self._standings.look_again(None)
            self.listeners.wake()
            await self._compare()

    async def _compare(self) -> None:
        """Tell every stream of a head that it was not told of."""
        for account in self.listeners.accounts():
            try:
                head = await self._head(account)
            except EcholiaError:
                continue  # that account's own trouble: its streams end or go on by themselves
            self.listeners.tell(account, head)


class LiveFeed:
    """One stream's news: a `web.streams.Feed`."""

    __slots__ = ("_caller", "_listener", "_live", "_quiet_s", "_timer")

    def __init__(self, live: Live, caller: Caller, listener: Listener) -> None:
        self._live = live
        self._caller = caller
        self._listener = listener
        self._quiet_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, on_news: Callable[[], None], quiet_s: float) -> None:
        """See `Feed.begin`."""
        self._listener.on_news = on_news
        self._quiet_s = quiet_s

    def take(self) -> Event | None:
        """See `Feed.take`; raises `token_expired`, `device_revoked`, `account_unknown`, `unavailable`."""
        self._stop_timer()
        try:
            left_s = self._live.check(self._caller)
        except EcholiaError:
            self.close()  # its place is free, whether or not the client takes in that this is the end
            raise
        if self._listener.ended:
            raise EcholiaError(self._listener.ended)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(self._quiet_s, left_s), self._listener.on_news)
        head = self._listener.take()
        if head is None:
            return None
        data = json.dumps({"epoch": head.epoch, "seq": head.seq})
        return Event("head", f"{head.epoch}.{head.seq}", data)

    def close(self) -> None:
        """See `Feed.close`."""
        self._stop_timer()
        self._live.listeners.remove(self._listener)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
