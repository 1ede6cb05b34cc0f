"""Mutants: rules that are broken one at a time to see that the suite notices. A new rule brings a new row."""

from __future__ import annotations

from typing import Final

from tests.mutants.device_rules import DEVICE
from tests.mutants.directory_rules import DIRECTORY
from tests.mutants.embedding_rules import EMBEDDINGS
from tests.mutants.export_rules import EXPORTS
from tests.mutants.key_rules import KEYS
from tests.mutants.merge_rules import MERGE
from tests.mutants.moving_rules import MOVING
from tests.mutants.mutant import Mutant
from tests.mutants.payment_rules import PAYMENTS
from tests.mutants.provider_rules import PROVIDERS
from tests.mutants.sealed_rules import SEALED
from tests.mutants.secret_rules import SECRETS
from tests.mutants.server_rules import SERVER
from tests.mutants.storage_rules import STORAGE
from tests.mutants.store_rules import STORES
from tests.mutants.upgrade_rules import UPGRADES
from tests.mutants.worker_rules import WORKERS

RULES: Final = (
    DEVICE,
    KEYS,
    SECRETS,
    SEALED,
    SERVER,
    DIRECTORY,
    STORAGE,
    MOVING,
    UPGRADES,
    WORKERS,
    MERGE,
    EXPORTS,
    PROVIDERS,
    EMBEDDINGS,
    PAYMENTS,
    STORES,
)
ALL: Final[tuple[Mutant, ...]] = tuple(mutant for rules in RULES for mutant in rules)
