"""What machines of one directory have to have alike: a machine that differs does not start.

In the directory lie hashes, which the first machine puts there: of the secrets that all have to have, and of
the time after which one is taken for dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any, Final

from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.storage.engine import Database, Statement
from echolia.storage.homes import NAMES_KEY, kinds_of
from echolia.storage.hrana.names import load_names
from echolia.storage.secret_files import load_key
from echolia.web.notices.choice import NOTICES_KEY, way_of
from echolia.workers.placement import Pulse, pulse_of
from echolia.workers.secured import CLUSTER_KEY

_LOCAL: Final = "files"
_HOMES: Final = "SELECT home, count(*) FROM databases GROUP BY home ORDER BY home"
_MOVING: Final = "SELECT moving_to, count(*) FROM databases WHERE moving_to IS NOT NULL GROUP BY moving_to"
_PRINTS: Final = "SELECT name, print FROM agreed"
_AGREE: Final = "INSERT INTO agreed (name, print) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
_BEATS: Final = "SELECT worker, beat_ms FROM workers WHERE host <> ? AND address <> ''"


def able(settings: Settings) -> None:
    """Assert that the settings are those of one machine among several. Raises: `settings_invalid`."""
    kind = kinds_of(settings).get(settings.new_accounts)
    for wrong, why in (
        (
            not settings.directory_url,
            "ECHOLIA_ADDRESS needs a directory that others reach: ECHOLIA_DIRECTORY_URL",
        ),
        (kind == _LOCAL, "ECHOLIA_NEW_ACCOUNTS is a place of this machine's files, which no other reaches"),
        (way_of(settings) == "memory", "ECHOLIA_LIVE is memory, which no other machine hears"),
    ):
        if wrong:
            raise EcholiaError("settings_invalid", why)


async def agree(settings: Settings, directory: Database) -> None:
    """Assert that this machine may serve the directory's accounts beside others.

    Raises: `home_local`, `home_unknown`, `machines_differ`, `settings_invalid`, `StorageError`.
    """
    kinds = kinds_of(settings)
    lived, moving = await directory.batch([Statement(_HOMES), Statement(_MOVING)], tx=False)
    for home, count in [*_rows(lived.rows), *_rows(moving.rows)]:
        if home not in kinds:
            raise EcholiaError("home_unknown", f"{home}, with {count} accounts")
        if kinds[home] == _LOCAL:
            raise EcholiaError("home_local", f"{home}, with {count} accounts")
    await _compare(settings, directory)


async def alone(settings: Settings, directory: Database, host: bytes) -> None:
    """Assert that no machine but this one (its id is `host`) serves the directory's accounts.

    Where some did, and did not end in order, this takes as long as it takes to see that they are dead.

    Raises: `machines_serve`, `StorageError`.
    """
    pulse = pulse_of(settings.takeover_seconds)
    if not settings.directory_url or not (first := await _beats(directory, host)):
        return
    for _ in range(_looks(pulse)):
        await asyncio.sleep(pulse.look_s)
        beats = await _beats(directory, host)
        if not beats:
            return
        if any(first.get(worker) != beat for worker, beat in beats.items()):
            raise EcholiaError("machines_serve")


async def _compare(settings: Settings, directory: Database) -> None:
    """Put there what is not there yet, or else assert that it is alike."""
    (found,) = await directory.batch([Statement(_PRINTS)], tx=False)
    there: dict[str, bytes] = dict(_rows(found.rows))
    for path in _shared(settings):
        if path.name in there and not path.exists():
            raise EcholiaError("machines_differ", f"{path.name} is missing: copy it from another machine")
    ours = dict(_prints(settings))
    *_, found = await directory.batch(
        [*(Statement(_AGREE, (name, print_)) for name, print_ in ours.items()), Statement(_PRINTS)]
    )
    there = dict(_rows(found.rows))
    wrong = sorted(name for name, print_ in ours.items() if there[name] != print_)
    if wrong:
        raise EcholiaError("machines_differ", ", ".join(wrong))


def _shared(settings: Settings) -> list[Path]:
    """The files that all machines have to have; docs/operations.md names them."""
    names = [CLUSTER_KEY, NAMES_KEY]
    if way_of(settings) == "redis":
        names.append(NOTICES_KEY)
    return [settings.data / name for name in names]


def _prints(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """What is compared; secrets that no machine has had so far are made."""
    for path in _shared(settings):
        if path.name == NAMES_KEY:
            load_names(path)
            yield path.name, _print(path.name, path.read_bytes())
        else:
            yield path.name, _print(path.name, load_key(path))
    name = "ECHOLIA_TAKEOVER_SECONDS"
    yield name, _print(name, str(settings.takeover_seconds).encode())


def _print(name: str, value: bytes) -> bytes:
    return sha256(f"echolia/1/agreed {name} ".encode() + value).digest()


def _looks(pulse: Pulse) -> int:
    return ceil(pulse.dead_ms / 1000 / pulse.look_s) + 1


async def _beats(directory: Database, host: bytes) -> dict[bytes, int]:
    (found,) = await directory.batch([Statement(_BEATS, (host,))], tx=False)
    return dict(_rows(found.rows))


def _rows(rows: list[Any]) -> list[Any]:
    return rows
