"""Opening a home: its lock, its vault, its database, and whether they belong together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from echolia.client import ledger, witnesses
from echolia.client.database import Database
from echolia.client.environment import Durably, Environment
from echolia.client.home import Home, HomeLock
from echolia.client.identity import Identity
from echolia.client.keeping import Given, Keeping
from echolia.client.replica import Replica
from echolia.client.vault import Vault
from echolia.client.witnesses import Ack
from echolia.core.collections import Collection
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError

_RETRY_S = 0.02


@dataclass(slots=True)
class OpenHome:
    """A home in use: locked until `close`."""

    home: Home
    vault: Vault
    replica: Replica
    lock: HomeLock

    def keep(self, vault: Vault) -> None:
        """Replace the vault."""
        vault.save(self.home.vault, self.replica.environment.durably)
        self.vault = vault

    async def close(self) -> None:
        """Close the database, then let others in."""
        await self.replica.close()
        self.vault.keeping.forget()
        self.lock.release()


async def locked(home: Home, environment: Environment, wait_s: float = 0.0) -> HomeLock:
    """The lock of an existing folder; raises `home_locked` after `wait_s` seconds."""
    lock, tries = HomeLock(home), int(wait_s / _RETRY_S)
    while not lock.take():
        if tries <= 0:
            lock.release()
            raise EcholiaError("home_locked")
        tries -= 1
        await environment.sleep(_RETRY_S)
    return lock


async def open_home(
    home: Home,
    collections: Iterable[Collection],
    environment: Environment,
    wait_s: float,
    given: Given | None,
) -> OpenHome:
    """A registered home; `given` is its passphrase, or asks for it. Raises as `Device.open`."""
    if not home.vault.exists():
        raise EcholiaError("home_missing")
    lock, vault = await locked(home, environment, wait_s), None
    try:
        vault = await Vault.load(home.vault, given, environment)
        if not vault.registered:
            raise EcholiaError("home_missing", "its setup was interrupted; run it again")
        return with_database(home, lock, vault, collections, environment)
    except BaseException:
        if vault is not None:
            vault.keeping.forget()
        lock.release()
        raise


def with_database(
    home: Home, lock: HomeLock, vault: Vault, collections: Iterable[Collection], environment: Environment
) -> OpenHome:
    """The home of this vault with its database, which must be the same account's."""
    database = Database.open(home.database, environment.durably)
    try:
        log = _own_log(database)
        vault = _current(home, vault, database, environment)
        identity = Identity.of(vault, collections)
        if log.account != identity.account or identity.device not in log.devices:
            raise EcholiaError("home_damaged", "its database and its vault are of different devices")
    except BaseException:
        database.close()
        raise
    return OpenHome(home, vault, Replica(database, identity, environment), lock)


def _current(home: Home, vault: Vault, database: Database, environment: Environment) -> Vault:
    """The vault, as the database has it: it may have taken the new identity when the vault had not yet."""
    if vault.successor is not None and database.get("identity") == vault.successor.device:
        vault = vault.succeeded()
        vault.save(home.vault, environment.durably)
    return vault


def check_free(home: Home) -> None:
    """Return if nobody's data is in the folder; raises `home_exists` or `home_damaged`."""
    if home.vault.exists():
        raise EcholiaError("home_exists")
    if home.database.exists():
        database = Database.open(home.database)
        try:
            # An interrupted setup leaves a device log at most. More than that is a home that lost its vault.
            held = database.value("SELECT EXISTS (SELECT 1 FROM objects) OR EXISTS (SELECT 1 FROM runs)")
        finally:
            database.close()
        if held:
            raise EcholiaError("home_damaged", "its vault is missing")


def create_database(
    home: Home, entries: list[SignedEntry], durably: Durably, vouched: Ack | None = None
) -> None:
    """A new database that holds this device log, in place of one that was left unfinished.

    `vouched` is what the device that adds this one has verified.
    """
    home.clear_unfinished()
    database = Database.create(home.database, durably)
    try:
        with database.transaction():
            for n, entry in enumerate(entries):
                ledger.add_device_entry(database, n, entry)
            if vouched is not None:
                witnesses.keep_vouched(database, vouched)
    finally:
        database.close()


def with_phrase_forgotten(opened: OpenHome) -> None:
    """Drop the recovery phrase from the vault."""
    if opened.vault.entropy is not None:
        opened.keep(opened.vault.without_phrase())


def with_keeping(opened: OpenHome, keeping: Keeping) -> None:
    """Keep the secrets otherwise."""
    former = opened.vault.keeping
    try:
        opened.keep(replace(opened.vault, keeping=keeping))
    except BaseException:
        keeping.forget()
        raise
    former.forget()


def _own_log(database: Database) -> DeviceLog:
    try:
        return ledger.device_log(database)
    except EcholiaError as error:
        if error.code.startswith("home_"):
            raise
        raise EcholiaError("home_damaged", "its device log does not verify") from None
