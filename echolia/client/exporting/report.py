"""What an export, a plain export and taking an export in come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export.

    `objects` by collection, the Trash included; `runs` are the signed runs of evidence, up to position
    `evidence_seq` (None: there is no evidence). `incomplete` is the code of what kept the server from its
    part, "offline" if it was not asked, "" if nothing did. `quarantined` objects are in it as far as they
    could be read, `unsent` edits are in it and in no evidence. `resumed`: it goes on what was begun before.
    """

    path: Path
    bytes: int
    objects: Mapping[str, int]
    devices: int
    runs: int
    evidence_seq: int | None
    incomplete: str
    quarantined: int
    unsent: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class PlainExported:
    """A plain export: how many objects by collection, the Trash included, and the files made."""

    folder: Path
    objects: Mapping[str, int]
    files: int


@dataclass(frozen=True, slots=True)
class Archive:
    """An export that was taken in and is kept as evidence: whose it was, when it was made (ms since 1970)."""

    path: Path
    account: str
    created_ms: int
    bytes: int


@dataclass(frozen=True, slots=True)
class NotTaken:
    """An object that could not be taken in: its id, collection and the error's code."""

    id: str
    collection: str
    code: str


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What taking in an export came to; `runs` were verified and stay in the `archive`."""

    archive: Archive
    new: int
    updated: int
    unchanged: int
    runs: int
    attachments: int
    not_taken: tuple[NotTaken, ...]
