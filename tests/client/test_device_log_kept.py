"""The device log is verified once, and never differs from what the home's database holds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from echolia.client import ledger
from echolia.client.database import Database
from tests.support.accounts import Account, Keys


class Undone(Exception):
    """Ends a transaction without effect."""


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A home's database with nothing in it."""
    return Database.create(tmp_path / "echolia.db")


def test_new_entries_continue_what_was_verified(database: Database) -> None:
    account = Account()
    ledger.add_device_entry(database, 0, account.entries[0])
    assert ledger.device_log(database) == account.log
    account.append(account.add_entry(Keys("phone")))
    ledger.add_device_entry(database, 1, account.entries[1])
    assert ledger.device_log(database) == account.log
    assert ledger.device_log(database) is ledger.device_log(database)


def test_an_entry_that_was_undone_is_forgotten(database: Database) -> None:
    account = Account()
    ledger.add_device_entry(database, 0, account.entries[0])
    with suppress(Undone), database.transaction():
        ledger.add_device_entry(database, 1, account.add_entry(Keys("phone")))
        assert ledger.device_log(database).length == 2
        raise Undone
    assert ledger.device_log(database) == account.log
    account.append(account.add_entry(Keys("tablet")))
    ledger.add_device_entry(database, 1, account.entries[1])
    assert ledger.device_log(database) == account.log
