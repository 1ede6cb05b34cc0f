"""Mutants: rules that are broken one at a time to see that the suite notices. A new rule brings a new row."""

from __future__ import annotations

from typing import Final

from tests.mutants.device_rules import DEVICE
from tests.mutants.export_rules import EXPORTS
from tests.mutants.key_rules import KEYS
from tests.mutants.merge_rules import MERGE
from tests.mutants.mutant import Mutant
from tests.mutants.secret_rules import SECRETS
from tests.mutants.server_rules import SERVER
from tests.mutants.storage_rules import STORAGE

ALL: Final[tuple[Mutant, ...]] = (*DEVICE, *KEYS, *SECRETS, *SERVER, *MERGE, *EXPORTS, *STORAGE)
