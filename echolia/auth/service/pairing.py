"""Pairing's mailbox: carries sealed messages between two devices for two minutes (`spec/pairing.md`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from echolia.auth.models import Confirm, Mailbox, Posted, Received
from echolia.auth.service import key_boxes
from echolia.auth.service.additions import check_room, with_addition
from echolia.auth.service.devices import AccountDevices
from echolia.auth.service.rights import Rights
from echolia.auth.store import mailboxes as store
from echolia.core.device_entries import SignedEntry, entry_hash
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.storage.engine import ConstraintViolated, Database
from echolia.web.context import Caller, DeviceEntitlements, Dice

MAILBOX_MS: Final = 120_000
LONGEST_WAIT_S: Final = 25.0
# Two sides, each perhaps with a request that its connection has lost.
MOST_WAITING: Final = 8
LAST: Final = 2
_OTHER: Final = {"owner": "guest", "guest": "owner"}


class Waiting:
    """Who waits for news of which mailbox, in this process."""

    def __init__(self) -> None:
        self._events: dict[bytes, set[asyncio.Event]] = {}
        self.ended = False

    @contextmanager
    def on(self, mailbox: bytes) -> Iterator[asyncio.Event]:
        """An event that is set by news of the mailbox; raises `mailbox_full` where too many wait."""
        events = self._events.setdefault(mailbox, set())
        if len(events) >= MOST_WAITING:
            raise EcholiaError("mailbox_full", "too many wait")
        event = asyncio.Event()
        events.add(event)
        try:
            yield event
        finally:
            events.discard(event)
            if not events:
                self._events.pop(mailbox, None)

    def wake(self, mailbox: bytes) -> None:
        """There is news."""
        for event in self._events.get(mailbox, ()):
            event.set()

    def on_mailbox(self, mailbox: bytes) -> int:
        """How many wait for news of this one."""
        return len(self._events.get(mailbox, ()))

    @property
    def count(self) -> int:
        """How many wait now."""
        return sum(map(len, self._events.values()))

    def end(self) -> None:
        """The server is about to stop: nobody waits any longer."""
        self.ended = True
        for mailbox in self._events:
            self.wake(mailbox)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Mailboxes and the appending of the device that came through one.

    The other side may come to another process: then a mailbox is looked into every `poll_s` seconds.
    """

    db: Database
    devices: AccountDevices
    rights: Rights
    entitlements: DeviceEntitlements
    clock_ms: Callable[[], int]
    dice: Dice
    poll_s: float | None = None
    waiting: Waiting = field(default_factory=Waiting)

    async def open(self, caller: Caller, token_hash: bytes) -> Mailbox:
        """A mailbox for whoever knows the token; the account's former one ends. Raises `too_many_devices`,
        `device_new`."""
        log = await self.devices.log(caller.account)
        await self.rights.check(log, caller)
        check_room(len(log.active()) + 1, await self.entitlements.devices(caller.account))
        mailbox = self.dice(16)
        await store.open_mailbox(self.db, mailbox, caller.account, token_hash, self.clock_ms() + MAILBOX_MS)
        return Mailbox(mailbox=mailbox, expires_in=MAILBOX_MS // 1000)

    async def admit(self, mailbox: bytes, side: str, caller: Caller | None, token: bytes | None) -> None:
        """Return if these credentials may act for that side; raises `unauthorized`, `mailbox_unknown`."""
        now_ms = self.clock_ms()
        if side == "owner":
            if caller is None:
                raise EcholiaError("unauthorized", "the owner's side needs an access token")
            if not await store.owned(self.db, mailbox, caller.account, now_ms):
                raise EcholiaError("mailbox_unknown")
            return
        if token is None:
            raise EcholiaError("unauthorized", "the guest's side needs the mailbox's token")
        outcome = await store.admit_guest(self.db, mailbox, sha256(token).digest(), now_ms)
        if outcome == "wrong":
            raise EcholiaError("unauthorized", "not this mailbox's token")
        if outcome == "unknown":
            self.waiting.wake(mailbox)
            raise EcholiaError("mailbox_unknown")

    async def put(self, mailbox: bytes, posted: Posted) -> None:
        """Put a message; raises `mailbox_full` where another stands there, `mailbox_unknown` where the
        pairing was given up meanwhile.
        """
        if posted.side == "owner" and posted.n == LAST:
            raise EcholiaError("mailbox_full", "the owner's last message comes with the confirmation")
        message = (self.db, mailbox, posted.side, posted.n)
        if not await store.put_message(*message, posted.message, self.clock_ms()):
            there, _ = await store.message_of(*message, self.clock_ms())
            raise EcholiaError("mailbox_full" if there else "mailbox_unknown")
        self.waiting.wake(mailbox)

    async def take(self, mailbox: bytes, side: str, n: int, wait_s: float) -> Received | None:
        """The other side's message n, waited for; None if it did not come. Raises `mailbox_unknown`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + min(wait_s, LONGEST_WAIT_S)
        with self.waiting.on(mailbox) as news:
            while True:
                news.clear()
                there, message = await store.message_of(self.db, mailbox, _OTHER[side], n, self.clock_ms())
                if not there:
                    raise EcholiaError("mailbox_unknown")
                if message is not None:
                    return Received(message=message)
                left = ends - loop.time()
                if left <= 0 or self.waiting.ended:
                    return None
                try:
                    async with asyncio.timeout(left if self.poll_s is None else min(left, self.poll_s)):
                        await news.wait()
                except TimeoutError:
                    continue

    async def confirm(self, caller: Caller, mailbox: bytes, asked: Confirm) -> None:
        """Append the `add` entry and put the owner's last message, both or neither; the same again changes
        nothing.

        Raises: `device_log_invalid`, `device_log_conflict`, `too_many_devices`, `key_box_invalid`,
        `account_exists` (the device belongs to one), `mailbox_unknown`, `mailbox_full`.
        """
        signed = SignedEntry(asked.entry, asked.signatures)
        log = await self.devices.log(caller.account)
        if entry_hash(signed.entry) == log.head:
            await self._check_repeated(caller, mailbox, asked.message)
            return
        await self.rights.check(log, caller)
        grown = with_addition(log, signed, await self.entitlements.devices(caller.account))
        boxes = list(key_boxes.verified(asked.key_boxes, grown, caller.device))
        now_ms = self.clock_ms()
        try:
            done = await store.confirm(self.db, mailbox, grown, log, signed, boxes, asked.message, now_ms)
        except ConstraintViolated:
            raise EcholiaError("account_exists", "the new device belongs to an account") from None
        if not done:
            await self._explain(caller, mailbox, log)
        self.devices.grown(grown)
        self.waiting.wake(mailbox)

    async def _check_repeated(self, caller: Caller, mailbox: bytes, message: bytes) -> None:
        now_ms = self.clock_ms()
        if not await store.owned(self.db, mailbox, caller.account, now_ms):
            raise EcholiaError("mailbox_unknown")
        _, found = await store.message_of(self.db, mailbox, "owner", LAST, now_ms)
        if found is None:
            raise EcholiaError("device_log_conflict", "the entry is in the log, but not by this pairing")
        if found != message:
            raise EcholiaError("mailbox_full")

    async def _explain(self, caller: Caller, mailbox: bytes, log: DeviceLog) -> None:
        """Say why a confirmation did not take place."""
        self.devices.forget(caller.account)
        if not await store.owned(self.db, mailbox, caller.account, self.clock_ms()):
            raise EcholiaError("mailbox_unknown")
        if (await self.devices.log(caller.account)).length > log.length:
            raise EcholiaError("device_log_conflict")
        raise EcholiaError("mailbox_full")

    async def close(self, caller: Caller, mailbox: bytes) -> None:
        """Give the pairing up; raises `mailbox_unknown`."""
        if not await store.close_mailbox(self.db, mailbox, caller.account):
            raise EcholiaError("mailbox_unknown")
        self.waiting.wake(mailbox)
