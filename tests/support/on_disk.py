"""Looks for bytes in everything below a folder: free pages and logs of databases too, and names."""

from __future__ import annotations

from pathlib import Path

from echolia.core.ids import b64


def on_disk(folder: Path, wanted: bytes) -> list[str]:
    """The files that hold these bytes, raw, in hex or in base64url, or are named by them."""
    looked_for = spellings(wanted)
    return [
        path.name
        for path in folder.rglob("*")
        if wanted.hex() in path.name
        or (path.is_file() and any(spelling in path.read_bytes() for spelling in looked_for))
    ]


def spellings(wanted: bytes) -> list[bytes]:
    """These bytes as they are, in hex and in base64url."""
    return [wanted, wanted.hex().encode(), b64(wanted).encode()]
