"""The connections to one Hrana server, shared by all databases that are open there."""

from __future__ import annotations

import io
from typing import Final, NamedTuple

import aiohttp

from echolia.storage.engine import OutcomeUnknown

CONNECTIONS: Final = 64
CONNECT_S: Final = 3.0
# A batch ends in less: sqld takes a lock away after five seconds.
ANSWER_S: Final = 10.0
# More than sqld's own limit with its usual settings (32 MB); callers ask for pages far below that.
MAX_ANSWER_BYTES: Final = 64 << 20
_CHUNK_BYTES: Final = 1 << 18
_LARGE_BYTES: Final = 1 << 20  # from here on aiohttp wants a body that it can send in parts
_HEADERS: Final = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


# In place of a status: no connection came about.
NOT_SENT: Final = 0


class Said(NamedTuple):
    """A status, or `NOT_SENT`, and a body."""

    status: int
    body: bytes


class Server:
    """Posts pipelines to `url`, in which `{host}` stands for the database's.

    `answer_s` is how long it waits for an answer to begin, and to go on.
    """

    def __init__(self, url: str, answer_s: float = ANSWER_S) -> None:
        """Inside a running event loop."""
        self._url = url.rstrip("/") + "/v3/pipeline"
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=answer_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # nothing small may grow large
            read_bufsize=_CHUNK_BYTES,
        )

    async def post(self, host: str, token: str, body: bytes) -> Said:
        """Send a pipeline to the database of that host name; redirects are not followed.

        Cancelled, it closes the connection, and sqld interrupts what runs.
        Raises: `OutcomeUnknown`: it was sent, and no whole answer came.
        """
        headers = {**_HEADERS, "Host": host, "Authorization": f"Bearer {token}"}
        try:
            async with self._session.post(
                self._url.replace("{host}", host),
                data=body if len(body) < _LARGE_BYTES else io.BytesIO(body),
                headers=headers,
                allow_redirects=False,
            ) as answer:
                return Said(answer.status, await _read(answer))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Said(NOT_SENT, b"")
        except TimeoutError:
            lost = "TIMEOUT"
        except (aiohttp.ClientError, OSError):
            lost = "CONNECTION_LOST"
        raise OutcomeUnknown(lost)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            answer.close()
            raise OutcomeUnknown("ANSWER_TOO_BIG")
    return bytes(body)
