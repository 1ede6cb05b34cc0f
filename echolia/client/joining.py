"""The side of pairing that is new: take a code, show six digits, receive the account (`spec/pairing.md`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from echolia.client.environment import Environment
from echolia.client.home import Home, HomeLock
from echolia.client.http_transport import HttpTransport, checked_address
from echolia.client.keeping import Given, new_keeping
from echolia.client.mailbox import Mailbox
from echolia.client.opening import OpenHome, check_free, create_database, locked, with_database
from echolia.client.reports import Kept
from echolia.client.session import MemoryTokens, Session
from echolia.client.transport import Transport
from echolia.client.vault import Vault
from echolia.client.witnesses import read_vouched
from echolia.core import canonical
from echolia.core.collections import Collection
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.errors import EcholiaError
from echolia.core.messages import device_log_message
from echolia.e2ee.keys import SECRET_BYTES, AccountSecrets, KeyPairs
from echolia.e2ee.pairing import Agreement, Code, Ephemeral, Reveal

Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True)
class _Met:
    """What the guest has after the owner's first message."""

    log: DeviceLog
    entries: list[SignedEntry]
    agreement: Agreement = field(repr=False)


class Joining(Generic[Opened]):
    """One attempt to join; get it from `Device.join(home, code)` and use it as an async context manager."""

    def __init__(
        self,
        home: Home,
        code: str,
        collections: tuple[Collection, ...],
        transport: Transport | None,
        environment: Environment,
        opened: Callable[[OpenHome, Transport], Opened],
        kept: Kept | None,
        given: Given | None,
    ) -> None:
        self._kept, self._given = kept, given
        self._home, self._collections, self._environment = home, collections, environment
        self._code = Code.decode(code)
        self._server = checked_address(self._code.server)
        self._transport = transport or HttpTransport(self._server)
        self._opened, self._handed_over = opened, False
        self._keys = KeyPairs(environment.dice(SECRET_BYTES), environment.dice(SECRET_BYTES))
        session = Session(self._transport, self._keys, MemoryTokens(), environment)
        self._mailbox = Mailbox(session, self._code, "guest", environment)
        self._lock: HomeLock | None = None
        self._met: _Met | None = None

    @property
    def server(self) -> str:
        """The server's address, as the code names it."""
        return self._server

    async def digits(self) -> str:
        """The six digits to show, once the other device has answered; raises `pairing_failed`."""
        own = Ephemeral.generate(self._environment.dice)
        reveal = Reveal.make(
            self._keys.sign_public, self._keys.box_public, own.public, self._environment.dice
        )  # fmt: skip
        await self._mailbox.put(0, {"commit": reveal.commitment()})
        owner = await self._mailbox.take(0)
        entries = _entries(owner.get("log"))
        log = _verified(entries, owner.get("account"))
        await self._mailbox.put(1, {"reveal": reveal.raw})
        theirs = owner.get("eph")
        eph = theirs if isinstance(theirs, bytes) else b""
        agreement = Agreement.reach(
            own, eph, self._code.mailbox, log.account, reveal, eph, log.head
        )  # fmt: skip
        self._met = _Met(log, entries, agreement)
        return agreement.digits()

    async def finish(self) -> Opened:
        """Wait until they were typed there, then open the new home; raises `pairing_failed`."""
        if self._met is None or self._lock is None:
            raise EcholiaError("pairing_failed")
        met = self._met
        entry = await self._approved(met)
        await self._mailbox.put(2, {"signature": self._keys.sign(device_log_message(entry))})
        last = await self._mailbox.take(2)
        signed, secrets = _received(met, entry, last)
        vouched = read_vouched(last.get("ack"), met.log, canonical.decode(entry)["by"])
        create_database(self._home, [*met.entries, signed], self._environment.durably, vouched)
        keeping = await new_keeping(self._kept, self._given, self._environment)
        vault = Vault(self._server, self._keys, secrets, keeping=keeping)
        # The vault comes last: a home without one is no home, so whatever stopped before can be done again.
        vault.save(self._home.vault, self._environment.durably)
        opened = with_database(self._home, self._lock, vault, self._collections, self._environment)
        self._handed_over = True
        return self._opened(opened, self._transport)

    async def __aenter__(self) -> Self:
        self._home.prepare()
        self._lock = await locked(self._home, self._environment)
        try:
            check_free(self._home)
        except BaseException:
            self._lock.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._handed_over:
            await self._transport.close()
            if self._lock is not None:
                self._lock.release()

    async def _approved(self, met: _Met) -> bytes:
        """The `add` entry of this device, from an owner who was given the digits."""
        message = await self._mailbox.take(1)
        entry, mac = message.get("entry"), message.get("mac")
        if not isinstance(entry, bytes) or not isinstance(mac, bytes):
            raise EcholiaError("pairing_failed")
        if not compare_digest(mac, met.agreement.mac()):
            raise EcholiaError("pairing_failed")
        if entry not in self._own_entries(met.log):
            raise EcholiaError("pairing_failed", "the entry does not add this device to that log")
        return entry

    def _own_entries(self, log: DeviceLog) -> list[bytes]:
        public = self._keys.public()
        return [entry_bytes("add", log, {"device": public, "by": by.device}) for by in log.active()]


def _entries(log: Any) -> list[SignedEntry]:
    try:
        return [SignedEntry(entry, dict(signatures)) for entry, signatures in log]
    except (TypeError, ValueError):
        raise EcholiaError("pairing_failed", "the device log has another form") from None


def _verified(entries: list[SignedEntry], account: object) -> DeviceLog:
    try:
        log = DeviceLog.replay(entries)
    except (EcholiaError, TypeError, ValueError, AttributeError):
        raise EcholiaError("pairing_failed", "the device log does not verify") from None
    if log.account != account:
        raise EcholiaError("pairing_failed", "the device log is another account's")
    return log


def _received(met: _Met, entry: bytes, message: dict[str, Any]) -> tuple[SignedEntry, AccountSecrets]:
    """The signed entry and the account secrets, both checked."""
    [signed] = _entries([[message.get("entry"), message.get("signatures")]])
    if signed.entry != entry:
        raise EcholiaError("pairing_failed", "another entry than was signed")
    log = _verified([*met.entries, signed], met.log.account)
    secrets = met.agreement.open_secrets(message.get("secrets"), entry)
    if secrets.account != log.account:
        raise EcholiaError("pairing_failed", "the secrets are another account's")
    return signed, secrets
