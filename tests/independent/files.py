"""The files of this folder, and their hexadecimal as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def rows(name: str) -> list[Mapping[str, Any]]:
    """All cases of a file."""
    found: list[Mapping[str, Any]] = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    return found


def raw(row: Mapping[str, Any], *names: str) -> list[bytes]:
    """These fields of a case, as bytes."""
    return [bytes.fromhex(row[name]) for name in names]
