"""Exports, by the SDK's reader, and by the opener that shares no code with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from echolia.client import open_export
from echolia.client.exporting.contents import read_object
from echolia.client.exporting.sealed_file import SealedFile
from echolia.client.exporting.verifying import verified
from echolia.core.export_records import OBJECT
from echolia.core.merge import decode, encode
from tests.vectors.ends.vector_file import Found, VectorFile

REFUSED = {"refused": True}


def read(vector: VectorFile) -> Found:
    """What the SDK finds in a file."""
    return _at_path(vector, lambda path: _by_sdk(path, vector.given["words"]))


def _by_sdk(path: Path, words: str) -> Found:
    export = SealedFile(path)
    try:
        key = export.head.open_with_words(words)
        counts = verified(export, key).counts
        objects = [read_object(one.content) for one in export.records(key) if one.kind == OBJECT]
    finally:
        export.close()
    assert export.end is not None
    for one in objects:
        assert encode(decode(one["state"])) == one["state"]
    head, position = export.head, export.end.position
    return {
        "account": head.account,
        "created": head.created_ms,
        "counts": counts,
        "position": None if position is None else list(position),
        "device": export.end.device,
        "objects": objects,
    }


def opened(vector: VectorFile) -> Found:
    """What the opener finds in a file; of a refusal, that it refuses."""
    return _at_path(vector, lambda path: _by_opener(path, vector.given["words"]))


def _by_opener(path: Path, words: str) -> Found:
    objects = list[dict[str, Any]]()
    try:
        export = open_export.Export(path)
        export.unlock(words)
        open_export.read(export, objects.append)
    except open_export.UNREADABLE:
        return REFUSED
    told = {name: export.end[name] for name in ("counts", "position", "device")}
    return {"account": export.account, "created": export.header["created"], "objects": objects, **told}


def _at_path(vector: VectorFile, look: Callable[[Path], Found]) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export"
        path.write_bytes(vector.raw("file"))
        return look(path)
