"""A device: the home that holds its data and secrets, and everything it can do, alone and with its server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from echolia.client import (
    brakes,
    conflicts,
    late,
    membership,
    notices,
    overview,
    reading,
    rewinding,
    server_ledger,
)
from echolia.client.brakes import BrakeLimits, Decision
from echolia.client.collection import Batch, Collection
from echolia.client.enrolment import make_account
from echolia.client.environment import REAL, Environment
from echolia.client.exporting import archives, plain
from echolia.client.exporting.report import Archive, Exported, PlainExported, TakenIn
from echolia.client.exporting.sealed import SealedExport
from echolia.client.exporting.taking_in import TakingIn
from echolia.client.home import Home
from echolia.client.http_transport import HttpTransport, checked_address
from echolia.client.joining import Joining
from echolia.client.kept_tokens import KeptTokens
from echolia.client.opening import OpenHome, open_home, with_phrase_forgotten
from echolia.client.pairing import Pairing
from echolia.client.plain_values import Edit
from echolia.client.replica import Order
from echolia.client.reports import (
    Brake,
    Changed,
    Conflict,
    Fact,
    LoggedDevice,
    Notice,
    Progress,
    Rewound,
    Status,
    SyncReport,
)
from echolia.client.session import Session
from echolia.client.syncing import Syncing
from echolia.client.transport import Transport
from echolia.client.watching import watch
from echolia.core.collections import Collection as Declaration
from echolia.core.errors import EcholiaError

_LIMITS: Final = BrakeLimits()


class Device:
    """One device of an account. Open it by `Device.open`, make it by `Device.init` or `Device.join`.

    It is an async context manager; while it is open no other process can open the same home (`home_locked`).
    """

    def __init__(
        self, opened: OpenHome, transport: Transport, environment: Environment, limits: BrakeLimits
    ) -> None:
        """Use `open`, `init` or `join` instead."""
        self._opened, self._replica = opened, opened.replica
        keys = opened.vault.keys
        self._session = Session(transport, keys, KeptTokens(opened.replica), environment)
        self._syncing = Syncing(opened, self._session, limits)
        self._environment = environment

    @classmethod
    async def init(
        cls,
        home: Path,
        server: str,
        *,
        collections: Iterable[Declaration] = (),
        transport: Transport | None = None,
        environment: Environment = REAL,
        brake_limits: BrakeLimits = _LIMITS,
    ) -> tuple[Device, str]:
        """Make a new account with this device as its first; gives the device and the 24-word phrase.

        Show the phrase, then call `phrase_kept`. Interrupted anywhere before that, calling it again goes on
        with the same account and gives the same phrase. Raises `home_exists`, `server_unreachable`.
        """
        server = checked_address(server)
        transport = transport or HttpTransport(server)
        try:
            opened, phrase = await make_account(Home(home), server, transport, collections, environment)
        except BaseException:
            await transport.close()
            raise
        return cls(opened, transport, environment, brake_limits), phrase

    @classmethod
    async def open(
        cls,
        home: Path,
        *,
        collections: Iterable[Declaration] = (),
        wait_s: float = 0.0,
        transport: Transport | None = None,
        environment: Environment = REAL,
        brake_limits: BrakeLimits = _LIMITS,
    ) -> Device:
        """Open a home, waiting up to `wait_s` seconds for whoever uses it; the server is not asked.

        Entries, memories and tags are declared already; `collections` adds an app's own. `brake_limits` says
        how much other devices may delete or overwrite at once before the person is asked (see `brake`).
        Raises `home_missing`, `home_locked`, `home_damaged`, `home_newer`.
        """
        opened = await open_home(Home(home), collections, environment, wait_s)
        transport = transport or HttpTransport(opened.vault.server)
        return cls(opened, transport, environment, brake_limits)

    @classmethod
    def join(
        cls,
        home: Path,
        code: str,
        *,
        collections: Iterable[Declaration] = (),
        transport: Transport | None = None,
        environment: Environment = REAL,
        brake_limits: BrakeLimits = _LIMITS,
    ) -> Joining[Device]:
        """Become a device of the account whose device shows this code; raises `pairing_code_invalid`.

        async with Device.join(home, code) as joining:
            print(await joining.digits())          # the person types them on the other device
            device = await joining.finish()
        """

        def opened(found: OpenHome, used: Transport) -> Device:
            return cls(found, used, environment, brake_limits)

        return Joining(Home(home), code, tuple(collections), transport, environment, opened)

    def pair(self) -> Pairing:
        """Add a device to the account.

        async with device.pair() as pairing:
            print(pairing.code)                    # the other device takes it
            await pairing.guest()                  # waits until it did (pairing_failed after 120 s)
            added = await pairing.confirm(input()) # its id; pairing_check_failed: up to 3 tries
        """
        prepare = self._syncing.offer_checkpoint
        return Pairing(self._replica, self._session, self._opened.vault.server, prepare)

    @property
    def id(self) -> str:
        """This device's id, hexadecimal."""
        return self._replica.identity.device.hex()

    @property
    def account(self) -> str:
        """The account's id, hexadecimal."""
        return self._replica.identity.account.hex()

    @property
    def server(self) -> str:
        """The server's address."""
        return self._opened.vault.server

    @property
    def home(self) -> Path:
        """The home's folder."""
        return self._opened.home.folder

    @property
    def collections(self) -> tuple[str, ...]:
        """The names of all declared collections."""
        return tuple(self._replica.identity.declared)

    def collection(self, name: str) -> Collection:
        """The objects of a declared collection; raises `collection_unknown`."""
        return Collection(self._replica, self._replica.identity.collection(name).name)

    def batch(self) -> Batch:
        """Several edits in one transaction, all or none (see `Batch`)."""
        return Batch(self._replica)

    async def resolve(self, prefix: str, collection: str | None = None) -> str:
        """The one object id that starts so; raises `object_unknown` or `object_ambiguous`."""
        return await self._replica.run(reading.resolve, self._replica.database, prefix, collection)

    async def short_ids(self, ids: Iterable[str]) -> dict[str, str]:
        """For each id its shortest prefix (8 digits or more) that names no other object here."""
        return await self._replica.run(reading.short_ids, self._replica.database, list(ids))

    def imported_id(self, source: str, key: str) -> str:
        """The id that an item of a source always gets in this account, on whichever device it is imported."""
        return self._replica.identity.secrets.imported_object(source, key).hex()

    async def sync(self, on_progress: Callable[[Progress], None] | None = None) -> SyncReport:
        """Push what is unsent, pull what is new, verify all of it, acknowledge. Safe to interrupt anywhere.

        A server that takes no more (a full account, a full disk, too much within a minute) is no error: the
        report's `held` says so, what it would not take stays here, and everything else is done. The same
        changes are not sent again before its `Retry-After`, unless it has more room or a deletion frees some.
        Raises `server_unreachable`, or what the server was caught at (`log_rewritten`, `chain_broken`, …):
        then nothing was taken from it, evidence is kept, and later calls raise it again. `mass_change`: what
        is waiting would take much of what is here; edits are pushed, nothing more is pulled until `release`.
        `server_reset`: the server does not know this account any more; nothing was deleted here.
        """
        return await self._syncing.sync(on_progress)

    async def brake(self) -> Brake | None:
        """The mass change of other devices that waits for a decision, if one does."""
        return await self._replica.run(brakes.waiting, self._replica.database)

    async def release(self, decision: Decision) -> SyncReport:
        """Decide about the mass change that waits, and sync.

        "accept" applies it as it is. "rewind" applies it and then undoes what the devices that did it did:
        what they deleted is restored, what they overwrote set back, by ordinary edits that sync as such. The
        decision is kept, so where the server cannot be reached the next sync carries it out.
        """
        await self._replica.run(brakes.decide, self._replica.database, decision)
        return await self._syncing.sync()

    async def rewind(self, since_ms: int | None = None) -> Rewound:
        """Undo the mass change that was accepted last, within 30 days, by ordinary edits that sync as such.

        With `since_ms` (ms since 1970) instead all that other devices changed here since then, as far back as
        a day. Raises `mass_change` while one waits.
        """
        return await rewinding.rewind(self._replica, since_ms)

    def watch(self) -> AsyncIterator[Changed]:
        """Follow the server: sync whenever its log moves or something is edited here; yield what changed."""
        return watch(self._replica, self._session, self._syncing)

    def on_change(self, callback: Callable[[Changed], None]) -> Callable[[], None]:
        """Call back after each committed edit or applied page; the result unsubscribes."""
        return self._replica.listen(callback)

    def on_conflict(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call back with the ids of objects that newly wait for a decision; the result unsubscribes.

        `conflicts` tells what is to be decided about them.
        """

        def told(changed: Changed) -> None:
            if changed.conflicts:
                callback(changed.conflicts)

        return self._replica.listen(told)

    async def conflicts(self, *, limit: int | None = None) -> list[Conflict]:
        """Everything that waits for a decision, of all collections, newest first.

        That is fields whose values were written at the same time, and objects that were deleted while another
        device edited them: of those the edit lies in the Trash. `resolve_conflict` decides about the former,
        `Collection.restore` or `Collection.delete` about the latter. What this device edited while it was
        away for months comes last; `review` decides.
        """
        return await self._replica.run(conflicts.waiting, self._replica, limit)

    async def resolve_conflict(self, conflict: Conflict, field: str, value: Edit) -> None:
        """Decide what a field in conflict shall be: the value of a choice, the merged preview, or a new one.

        It is a write like any other, and what it replaces stays in the history. Raises `conflict_changed` if
        other values compete by now than the person was shown.
        """
        record, sides = conflict.record, conflict.sides.get(field)
        choices = () if sides is None else sides.choices
        id_ = reading.object_id(record.id)
        await self._replica.edit([Order("resolve", record.collection, id_, {field: value}, None, choices)])

    async def review(self, conflict: Conflict, *, keep: bool) -> None:
        """Keep what was edited late, or take it back by ordinary edits; counts stay as they are.

        Raises `conflict_changed` for what waits for no review.
        """
        await late.review(self._replica, conflict.record, keep=keep)

    async def status(self) -> Status:
        """How this home stands; the server is not asked."""
        return await self._replica.run(overview.status, self._replica, self.server, self.home)

    async def notices(self) -> tuple[Notice, ...]:
        """What the person should be told and was not yet; say that they were with `notices_told`."""
        return await self._replica.run(notices.untold, self._replica.database)

    async def notices_told(self, until: int) -> None:
        """The person knows every notice up to this number."""
        await self._replica.run(notices.told, self._replica.database, until)

    async def ledger(self) -> tuple[Fact, ...]:
        """All that the server says it has of this account, asked of it now."""
        return await server_ledger.fetch(self._session)

    async def export(
        self, target: Path, *, passphrase: str | None = None, online: bool = True, force: bool = False,
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> Exported:  # fmt: skip
        """Write all that this home has into one encrypted file, which the 24 words open, or the passphrase.

        The server is asked for the signed history as evidence, unless `online` is False; what keeps it from
        that keeps no export from being made, and stands in the report. Interrupted, or on a full disk, it is
        called again and goes on. Raises `export_exists` unless `force`, `disk_full`, `passphrase_invalid`.
        """
        export = SealedExport(self._replica, self._session, target, passphrase, on_progress)
        return await export.run(self._syncing.sync if online else None, force=force)

    async def export_plain(self, folder: Path) -> PlainExported:
        """Write Markdown and JSON of all that is here into a new folder, unencrypted: anybody can read it.

        Raises `export_exists` if something is in the folder, `disk_full`.
        """
        return await plain.export_plain(self._replica, folder)

    async def take_in(
        self, export: Path, words: str, *, on_progress: Callable[[int, int], None] | None = None
    ) -> TakenIn:
        """Bring an export of another account into this one; `words` are its 24 words, or its passphrase.

        It is verified before anything is taken, and kept in the home (see `archives`). Interrupted anywhere
        it is called again. Raises `export_invalid`, `export_locked`, `phrase_invalid`, `export_own`.
        """
        return await TakingIn(self._replica, self._opened.home.archives, on_progress).run(export, words)

    async def archives(self) -> tuple[Archive, ...]:
        """The exports that were taken in here and are kept, oldest first."""
        return await self._replica.run(archives.kept, self._opened.home.archives)

    async def devices(self) -> list[LoggedDevice]:
        """The devices of the account, oldest first, as this device verified them."""
        return await self._replica.run(overview.devices, self._replica)

    async def revoke(self, device: str) -> None:
        """Take a device (its id) out of the account; what it wrote and this device has seen stays.

        A mass change of it that waits (see `brake`) was not seen: it goes with the device. Raises
        `device_unknown`, `device_last` for the only one.
        """
        try:
            await self._syncing.sync()
        except EcholiaError as error:
            if error.code != "mass_change":
                raise
        await membership.revoke(self._replica, self._session, device)

    async def delete_account(self) -> None:
        """Delete the account and all its data from the server, for good; this home stays readable."""
        await membership.delete_account(self._replica, self._session)

    async def phrase_kept(self) -> None:
        """Forget the recovery phrase: the person has seen it. It cannot be shown again."""
        await self._replica.run(with_phrase_forgotten, self._opened)

    async def aclose(self) -> None:
        """Close the home."""
        try:
            await self._session.transport.close()
        finally:
            await self._opened.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
