"""Migrations stay as they were released, and of each version there is a database to upgrade."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from echolia.storage.migrate import load_migrations
from echolia.storage.upgrades import SERVED_SINCE
from tests.support import former

# What databases out there have applied, by the start of its SHA-256: a new file brings a line of its own.
RELEASED: Final = {
    "directory/0001_accounts.sql": "e5fd303db04b9d5f",
    "directory/0002_live.sql": "1a7ae951062e5594",
    "directory/0003_recovery.sql": "712782dee0922763",
    "directory/0004_databases.sql": "1fd66c93a285fcf3",
    "directory/0005_data_keys.sql": "0f4295aded729561",
    "directory/0006_upgrades.sql": "0ca3c9a09c0bd1dc",
    "directory/0007_workers.sql": "77df73245ba8c5a1",
    "directory/0008_machines.sql": "d835821f629ccdd8",
    "directory/0009_llm.sql": "3ad9e84291384d5e",
    "directory/0010_payments.sql": "f9f0ec2ddb59f4e2",
    "user/0001_log.sql": "af18b6679fed129f",
    "user/0002_checkpoints.sql": "78391ac76fcee2f2",
    "user/0003_fence.sql": "12e1d941b2859336",
}


def test_a_migration_never_changes(repository: Path) -> None:
    there = {
        f"{file.parent.name}/{file.name}": sha256(file.read_bytes()).hexdigest()[:16]
        for file in (repository / "migrations").glob("*/*.sql")
    }
    assert there == RELEASED, "add a new one to RELEASED; write another migration where one would change"


@pytest.mark.parametrize("kind", former.KINDS)
def test_each_version_before_the_last_has_left_a_fixture(kind: former.Kind) -> None:
    earlier = set(range(1, len(load_migrations(kind))))
    assert earlier <= set(former.versions(kind)), "run `make fixture` before the next migration is added"


def test_databases_of_the_last_version_but_one_are_served() -> None:
    latest = len(load_migrations("user"))
    assert max(2, latest - 1) == SERVED_SINCE, "what waits for its migration has to be served as it is"
