"""Real documents for the journeys: what the packages on this machine carry, copied into a folder."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

SUFFIXES: Final = (".md", ".markdown", ".rst", ".txt")
# Documents that come without a suffix; a wheel's METADATA holds its README.
NAMES: Final = frozenset(
    {
        "authors",
        "changelog",
        "changes",
        "contributing",
        "copying",
        "copyright",
        "history",
        "install",
        "license",
    }
    | {"licence", "metadata", "news", "notice", "readme", "thanks"}
)
MOST_BYTES: Final = 900 * 1024
SHARED: Final = (
    "/usr/share",
    "/usr/lib/node_modules",
    "/usr/local/lib",
    "/usr/lib/python3",
    "/usr/local/share",
)


def wanted() -> int:
    """How many documents the journeys use: few by default, ECHOLIA_CORPUS says otherwise."""
    return int(os.environ.get("ECHOLIA_CORPUS", "200"))


def places() -> list[Path]:
    """Folders that hold packages, those of this Python first."""
    named = [sys.prefix, *site.getsitepackages(), sys.base_prefix, *SHARED]
    return list(dict.fromkeys(Path(name).resolve() for name in named if Path(name).is_dir()))


def documents() -> Iterator[bytes]:
    """The contents of each different text document of the packages, as a note could hold it."""
    met: set[bytes] = set()
    for place in places():
        for folder, folders, names in os.walk(place):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                if not _is_document(name.lower()) or path.is_symlink():
                    continue
                content = _text(path)
                if content and (mark := sha256(content).digest()) not in met:
                    met.add(mark)
                    yield content


def _is_document(name: str) -> bool:
    stem, _, suffix = name.partition(".")
    return name.endswith(SUFFIXES) or (stem in NAMES and suffix not in {"py", "gz", "html"})


def _text(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            return b""
        content = path.read_bytes()
        content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return b""
    return content


def collect(folder: Path, count: int) -> dict[str, bytes]:
    """Copy `count` documents into `folder`, a hundred a subfolder: relative path → content.

    Fails when the machine holds fewer, so that a journey never passes on an empty corpus.
    """
    copied: dict[str, bytes] = {}
    for number, content in zip(range(count), documents(), strict=False):
        path = folder / f"{number // 100:03}" / f"{number:05}.{'txt' if number % 7 == 0 else 'md'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        copied[path.relative_to(folder).as_posix()] = content
    if len(copied) < count:
        pytest.fail(f"only {len(copied)} documents on this machine, {count} asked for by ECHOLIA_CORPUS")
    return copied
