"""The admin API of an sqld: namespaces come, go and are blocked. It is reached by whoever has its key."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from echolia.storage.engine import DatabaseBusy, DatabaseMissing
from echolia.storage.hrana.faults import status_error
from echolia.storage.hrana.names import checked
from echolia.storage.hrana.server import CONNECT_S

_TOTAL_S: Final = 30.0
_CONNECTIONS: Final = 8
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
# It says "not found" of a namespace that it is just putting aside as well.
_PAUSES_S: Final = (0.02, 0.1)


class Admin:
    """Asks the admin API at `url` by its key."""

    def __init__(self, url: str, key: str) -> None:
        """Inside a running event loop."""
        self._url = url.rstrip("/") + "/v1/namespaces/"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=_TOTAL_S, sock_connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"basic {key}"},
        )

    async def create(self, name: str) -> bool:
        """Make a namespace whose commits are on the disk when they are acknowledged; False if it was there.

        Raises: `StorageError`.
        """
        # Of all that it refuses with 400 only a namespace that is there already is left: the name is checked.
        status = await self._ask("POST", name, "/create", {"durability_mode": "strong"})
        if status == _BAD_REQUEST:
            return False
        _held(status)
        return True

    async def delete(self, name: str) -> None:
        """Remove a namespace and its files, if there is one. Raises: `StorageError`."""
        if (status := await self._ask("DELETE", name, "", {})) != _NOT_FOUND:
            _held(status)

    async def block(self, name: str, blocked: bool) -> None:
        """Refuse reading and writing of a namespace, or allow it again.

        Raises: `DatabaseMissing`, `StorageError`.
        """
        config = {"block_reads": blocked, "block_writes": blocked, "durability_mode": "strong"}
        _held(await self._ask("POST", name, "/config", config))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _ask(self, method: str, name: str, what: str, body: dict[str, object]) -> int:
        for pause in (*_PAUSES_S, None):
            status = await self._once(method, checked(name) + what, body)
            if status != _NOT_FOUND or pause is None:
                return status
            await asyncio.sleep(pause)
        raise AssertionError

    async def _once(self, method: str, path: str, body: dict[str, object]) -> int:
        try:
            async with self._session.request(
                method, self._url + path, json=body, allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass
        raise DatabaseBusy("ADMIN_UNREACHABLE")


def _held(status: int) -> None:
    if status == _NOT_FOUND:
        raise DatabaseMissing
    if status != 200:
        raise status_error(status)
