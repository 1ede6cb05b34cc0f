"""What is known of every account's devices: their verified logs, cached, and who was refused since when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from cachetools import LRUCache

from echolia.auth.store import accounts
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.storage.engine import Database
from echolia.web.context import Caller, CutOff, OnEnd, Standing

REMEMBERED_ACCOUNTS: Final = 4096
# By so much the server's clock may be set back: what it signed before lives that much longer than it should.
CLOCK_ERROR_MS: Final = 86_400_000
# More entries than this are verified in a thread: each costs two signatures.
_THREAD_ENTRIES: Final = 20
_ALL: Final = 1_000_000


class AccountDevices:
    """Implements `web.context.Devices` over the directory; access tokens live `token_life_ms`.

    Logs are cached of accounts that this process `owns`: of others it does not hear when they grow. Where it
    makes one of those grow, it has to `tell_owner`, who forgets what it has cached.
    """

    def __init__(
        self,
        db: Database,
        token_life_ms: int,
        clock_ms: Callable[[], int],
        owns: Callable[[bytes], bool] = lambda _: True,
        tell_owner: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        self._db = db
        self._owns = owns
        self._tell_owner = tell_owner
        self._remembered_ms = token_life_ms + CLOCK_ERROR_MS
        self._clock_ms = clock_ms
        self._logs: LRUCache[bytes, tuple[DeviceLog, Standing]] = LRUCache(REMEMBERED_ACCOUNTS)
        self._revoked: dict[bytes, int] = {}
        self._deleted: dict[bytes, int] = {}
        self._signed_out: dict[bytes, int] = {}
        self._mark_ms = 0
        self._callbacks: list[OnEnd] = []
        self._guards: list[CutOff] = []

    async def load(self) -> None:
        """Learn anew who was revoked or deleted so recently that their tokens may still be about."""
        found = await accounts.ended(self._db, self._clock_ms() - self._remembered_ms)
        self._revoked.update(found.revoked)
        self._deleted.update(found.deleted)

    def on_end(self, callback: OnEnd) -> None:
        """See `web.context.Devices.on_end`."""
        self._callbacks.append(callback)

    def before_cut_off(self, guard: CutOff) -> None:
        """Have revocations written within `guard(account, device, last)`, which may refuse them."""
        self._guards.append(guard)

    @asynccontextmanager
    async def cutting_off(self, account: bytes, device: bytes, last: int) -> AsyncIterator[None]:
        """Write a revocation within this; raises what a guard raises to refuse it."""
        async with AsyncExitStack() as stack:
            for guard in self._guards:
                await stack.enter_async_context(guard(account, device, last))
            yield

    def admits(self, caller: Caller) -> None:
        """See `web.context.Devices.admits`."""
        if self._deleted and accounts.tombstone(caller.account) in self._deleted:
            raise EcholiaError("account_unknown")
        if caller.device in self._revoked:
            raise EcholiaError("device_revoked")
        if self._signed_out and caller.issued_ms <= self._signed_out.get(caller.device, -1):
            raise EcholiaError("token_expired")

    async def standing(self, account: bytes, device: bytes = b"") -> Standing:
        """See `web.context.Devices.standing`."""
        known = self._known(account)
        # Recovery adds devices wherever it is asked for, which may be another process.
        if known is None or (device and device not in known[1].keys):
            known = await self._load(account)
        return known[1]

    async def log(self, account: bytes) -> DeviceLog:
        """The account's device log; raises `account_unknown`."""
        known = self._known(account)
        return known[0] if known else (await self._load(account))[0]

    def _known(self, account: bytes) -> tuple[DeviceLog, Standing] | None:
        return self._logs.get(account) if self._owns(account) else None

    async def _load(self, account: bytes) -> tuple[DeviceLog, Standing]:
        entries = await accounts.entries(self._db, account, 0, _ALL)
        if not entries:
            raise EcholiaError("account_unknown")
        if len(entries) > _THREAD_ENTRIES:
            log = await asyncio.to_thread(DeviceLog.replay, entries)
        else:
            log = DeviceLog.replay(entries)
        self.grown(log)
        return self._known(account) or (log, _standing(log))

    def grown(self, log: DeviceLog) -> None:
        """The account's log is this now, unless a longer one is known: a reader may come late."""
        known = self._known(log.account)
        if known is None or known[0].length < log.length:
            self._logs[log.account] = (log, _standing(log))

    async def grown_elsewhere(self, account: bytes) -> None:
        """The log has grown by this process; its owner is to know before anybody asks it."""
        if self._tell_owner is not None and not self._owns(account):
            await self._tell_owner(account)

    def forget(self, account: bytes) -> None:
        """The log on disk may be longer than the one remembered."""
        self._logs.pop(account, None)

    async def look_again(self, account: bytes | None) -> None:
        """Another process ended a device of this account (None: of any): learn it from the directory."""
        await self.load()
        if account is None:
            self._logs.clear()
        else:
            self.forget(account)

    def revoked(self, account: bytes, device: bytes) -> None:
        """Refuse the device from now on and end its streams."""
        self._revoked[device] = self._clock_ms()
        self._end(account, device)

    def deleted(self, account: bytes) -> None:
        """Refuse the account from now on and end its streams."""
        self._deleted[accounts.tombstone(account)] = self._clock_ms()
        self.forget(account)
        self._end(account, None)

    def signed_out(self, account: bytes, device: bytes) -> None:
        """Refuse the device's tokens made so far; it may sign in again."""
        self._signed_out[device] = self.mark_ms()
        self._end(account, device)

    def remembered(self, account: bytes, devices: Iterable[bytes]) -> dict[str, object]:
        """What is in memory of an account and its devices, for its ledger."""
        known = list(devices)
        return {
            "device_log": account in self._logs,
            "revoked": sum(device in self._revoked for device in known),
            "signed_out": sum(device in self._signed_out for device in known),
        }

    def mark_ms(self) -> int:
        """The time in ms, but later than any told before: a clock that is set back must not make a token that
        comes after a sign-out look older than it.
        """
        self._mark_ms = max(self._clock_ms(), self._mark_ms + 1)
        return self._mark_ms

    def _end(self, account: bytes, device: bytes | None) -> None:
        for callback in self._callbacks:
            callback(account, device)

    def sweep(self) -> None:
        """Forget refusals that no living token can meet any more."""
        before = self._clock_ms() - self._remembered_ms
        for refused in (self._revoked, self._deleted, self._signed_out):
            for key in [key for key, at_ms in refused.items() if at_ms < before]:
                del refused[key]


def _standing(log: DeviceLog) -> Standing:
    keys = {device.device: device.sign for device in log.devices.values()}
    revoked = {each.device: each.revoked.last for each in log.devices.values() if each.revoked is not None}
    return Standing(keys, revoked, log.length, log.head)
