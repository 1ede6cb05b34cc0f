"""Exports that were taken in and are kept as they were: the evidence of what former accounts wrote."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from echolia.client.environment import Durably
from echolia.client.exporting.report import Archive
from echolia.client.exporting.sealed_file import SealedFile
from echolia.client.faults import home_faults
from echolia.client.vault import sync_folder
from echolia.core.errors import EcholiaError

SUFFIX: Final = ".echolia"


def keep(folder: Path, source: Path, export: SealedFile, durably: Durably) -> Archive:
    """Keep a verified export in the folder; one that is there already stays. Raises `disk_full`."""
    head = export.head
    target = folder / f"{head.account.hex()}-{head.created_ms}-{head.commitment[:4].hex()}{SUFFIX}"
    if not target.exists():
        fresh = target.with_suffix(".new")
        with home_faults():
            folder.mkdir(mode=0o700, exist_ok=True)
            fresh.unlink(missing_ok=True)
            shutil.copyfile(source, fresh)
            fresh.chmod(0o600)
            _sync_file(fresh)
            durably(lambda: fresh.replace(target))
            sync_folder(folder)
    return _archive(target, export)


def kept(folder: Path) -> tuple[Archive, ...]:
    """What is kept in the folder, oldest first; what is no export is passed over."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            export = SealedFile(path)
        except (EcholiaError, OSError):
            continue
        export.close()
        found.append(_archive(path, export))
    return tuple(sorted(found, key=lambda one: (one.created_ms, one.path.name)))


def _archive(path: Path, export: SealedFile) -> Archive:
    return Archive(path, export.head.account.hex(), export.head.created_ms, export.bytes)


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
