"""Exports in tests: accounts whose phrase is known, what a file holds, the opener in a bare Python."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echolia.client import Device, open_export
from echolia.client.exporting.contents import read_object
from echolia.client.exporting.sealed_file import SealedFile
from echolia.client.exporting.verifying import verified
from echolia.core.export_records import OBJECT
from tests.support.devices import World

OPENER = Path(open_export.__file__)
# Runs a program with nothing importable but the standard library and what lies in one folder.
_BARE = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


async def account(
    world: World, name: str = "laptop", server: str = "http://server.test"
) -> tuple[Device, str]:
    """A new account's first device, and its phrase."""
    device, phrase = await Device.init(world.folder / name, server, **world.around(name))
    await device.phrase_kept()
    world.stack.push_async_callback(device.aclose)
    return device, phrase


@dataclass
class Held:
    """What an export holds."""

    counts: dict[str, int]
    position: tuple[int, int, bytes] | None
    objects: dict[str, dict[str, Any]]


def held(path: Path, words: str) -> Held:
    """What is in an export, all of it verified."""
    export = SealedFile(path)
    try:
        key = export.head.open_with_words(words)
        counts = verified(export, key).counts
        records = [read_object(one.content) for one in export.records(key) if one.kind == OBJECT]
    finally:
        export.close()
    assert export.end is not None
    objects = {one["id"].hex(): one for one in records}
    assert len(objects) == len(records)
    return Held(counts, export.end.position, objects)


def bare(folder: Path) -> Path:
    """A folder from which nothing but PyNaCl and what it needs can be imported."""
    site = Path(sysconfig.get_paths()["purelib"])
    folder.mkdir()
    for found in (site / "nacl", site / "cffi", *site.glob("_cffi_backend*"), *site.glob("pycparser")):
        if found.exists():
            (folder / found.name).symlink_to(found)
    return folder


def opened_bare(site: Path, *words: str, typed: str) -> subprocess.CompletedProcess[str]:
    """The opener, run by itself with this on its standard input."""
    command = [sys.executable, "-I", "-S", "-c", _BARE, str(site), str(OPENER), *words]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120, check=False)
