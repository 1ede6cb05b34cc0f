"""Turso's platform API: databases of one group come, go and are blocked, and tokens for one of them each.

It names no limit of its rate and says 429 when it has enough, so few requests run at once, all of them pause
when one is told to, and each is tried again for a while.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import aiohttp

from echolia.storage.engine import DatabaseBusy, DatabaseMissing, StorageError
from echolia.storage.hrana.names import checked
from echolia.storage.hrana.server import CONNECT_S
from echolia.storage.hrana.tokens import Clock

LIFE: Final = "1d"
LIFE_S: Final = 86_400
AT_ONCE: Final = 4
TRIES: Final = 6
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_TOTAL_S: Final = 30.0
_MAX_BYTES: Final = 1 << 20
_HOST: Final = re.compile(r"[a-z0-9.-]{1,253}")


class Surroundings(NamedTuple):
    """Time in Unix seconds, waiting, and chance between 0 and 1."""

    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]


class _Said(NamedTuple):
    status: int
    body: bytes
    retry_after: str


class TursoApi:
    """The databases of one `group` of an `organization`, by its token."""

    def __init__(self, url: str, organization: str, group: str, token: str, around: Surroundings) -> None:
        """Inside a running event loop. Raises: StorageError `NAME_INVALID`."""
        self._base = f"{url.rstrip('/')}/v1/organizations/{checked(organization)}/databases"
        self._group = checked(group)
        self._around = around
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._not_before = 0.0
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_TOTAL_S, sock_connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"Bearer {token}"},
        )

    async def create(self, name: str, template: str | None = None) -> bool:
        """Make a database, as a copy of the template's or empty; False if there is one of that name.

        Raises: `DatabaseBusy`, `StorageError`.
        """
        body: dict[str, object] = {"name": checked(name), "group": self._group}
        if template is not None:
            body["seed"] = {"type": "database", "name": checked(template)}
        said = await self._ask("POST", "", body)
        if said.status == 409:
            return False
        _held(said)
        return True

    async def host(self, name: str) -> str:
        """The host name of a database. Raises: `DatabaseMissing`, `DatabaseBusy`, `StorageError`."""
        host = _field(_held(await self._ask("GET", f"/{checked(name)}")), "database", "Hostname")
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise StorageError("ANSWER_UNREADABLE")
        return host

    async def token(self, name: str) -> str:
        """A token for one database, good for `LIFE_S`; raises as `host`."""
        path = f"/{checked(name)}/auth/tokens?expiration={LIFE}&authorization=full-access"
        token = _field(_held(await self._ask("POST", path)), "jwt")
        if not isinstance(token, str) or not token.isascii():
            raise StorageError("ANSWER_UNREADABLE")
        return token

    async def usage(self, name: str) -> int:
        """The bytes that a database takes; raises as `host`."""
        said = _held(await self._ask("GET", f"/{checked(name)}/usage"))
        size = _field(said, "database", "usage", "storage_bytes")
        if not isinstance(size, int):
            raise StorageError("ANSWER_UNREADABLE")
        return size

    async def block(self, name: str, blocked: bool) -> None:
        """Refuse reading and writing of a database, or allow it again; raises as `host`."""
        config: dict[str, object] = {"block_reads": blocked, "block_writes": blocked}
        _held(await self._ask("PATCH", f"/{checked(name)}/configuration", config))

    async def delete(self, name: str) -> None:
        """Remove a database, if there is one. Raises: `DatabaseBusy`, `StorageError`."""
        if (said := await self._ask("DELETE", f"/{checked(name)}")).status != 404:
            _held(said)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> _Said:
        """Ask until it is neither too much nor a failure of theirs. Raises: `DatabaseBusy`."""
        async with self._gate:
            for attempt in range(TRIES):
                await self._pause()
                said = await self._once(method, path, body)
                if said is not None and said.status != 429 and said.status < 500:
                    return said
                pause = self._pause_s(attempt, said)
                self._not_before = max(self._not_before, self._around.clock() + pause)
        raise DatabaseBusy("TURSO_UNREACHABLE" if said is None else f"TURSO_{said.status}")

    async def _pause(self) -> None:
        left = self._not_before - self._around.clock()
        if left > _LONGEST_PAUSE_S:
            raise DatabaseBusy("TURSO_PAUSES")  # told to stay away for longer than anybody waits
        if left > 0:
            await self._around.sleep(left)

    def _pause_s(self, attempt: int, said: _Said | None) -> float:
        asked = said.retry_after if said is not None else ""
        if asked.isdecimal() and len(asked) < 10:
            return float(asked)
        longest = min(_FIRST_PAUSE_S * float(1 << attempt), _LONGEST_PAUSE_S)
        return longest * (0.5 + self._around.jitter() / 2)

    async def _once(self, method: str, path: str, body: dict[str, object] | None) -> _Said | None:
        try:
            async with self._session.request(
                method, self._base + path, json=body, allow_redirects=False
            ) as answer:
                content = await answer.content.read(_MAX_BYTES)
                return _Said(answer.status, content, answer.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


def _held(said: _Said) -> _Said:
    if said.status == 404:
        raise DatabaseMissing
    if not 200 <= said.status < 300:
        raise StorageError(f"TURSO_{said.status}")
    return said


def _field(said: _Said, *names: str) -> object:
    found: Any = None
    try:
        found = json.loads(said.body)
        for name in names:
            found = found[name]
    except (ValueError, LookupError, TypeError, RecursionError):
        found = None
    return found
