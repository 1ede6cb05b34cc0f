"""Connections to PostgreSQL: how each is set up, and the pool of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus
from psycopg_pool import AsyncConnectionPool

from echolia.core.errors import EcholiaError
from echolia.storage.engine import StorageError
from echolia.storage.postgres.values import ADAPTERS

# Each batch that met another one is a warning to psycopg; that the server is away is one to the operator.
logging.getLogger("psycopg").setLevel(logging.ERROR)
logging.getLogger("psycopg.pool").setLevel(logging.WARNING)

Connection = AsyncConnection[tuple[Any, ...]]

# A server that vanished is noticed by the system, whatever it was asked; an address may say otherwise.
_NETWORK: Final = {
    "application_name": "echolia",
    "client_encoding": "utf8",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
# SERIALIZABLE: batches mean what they would one after the other. No scan of a whole table where an index
# leads to the rows: what a batch has looked at is what others may not change meanwhile. (Where none does, the
# plan is thought so dear that it would be compiled first.)
_SESSION: Final = """
SELECT set_config('default_transaction_isolation', 'serializable', false),
    set_config('statement_timeout', $1, false),
    set_config('idle_in_transaction_session_timeout', $1, false),
    set_config('enable_seqscan', 'off', false),
    set_config('jit', 'off', false),
    set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, false)
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a PostgreSQL is: its `postgresql://…`, which holds a password, and how long it may take.

    `seconds` is the longest that a statement runs, and that a connection is waited for.
    """

    url: str = field(repr=False)
    seconds: float = 5.0

    def conninfo(self) -> str:
        """The address for libpq; raises `settings_invalid`."""
        try:
            # Only the form with a scheme: another one is no address but a list of words.
            if urlsplit(self.url).scheme in ("postgresql", "postgres"):
                given = {**_NETWORK, "connect_timeout": str(max(2, round(self.seconds)))}
                return make_conninfo("", **{**given, **conninfo_to_dict(self.url)})
        except (psycopg.Error, ValueError):
            pass
        raise EcholiaError("settings_invalid", "ECHOLIA_DIRECTORY_URL")

    async def connect(self) -> Connection:
        """A connection of one's own, set up; raises `directory_unreachable`."""
        conninfo = self.conninfo()
        try:
            connection = await AsyncConnection.connect(conninfo, **_ways())
        except psycopg.Error:
            pass  # its message quotes the address
        else:
            return await self._ready(connection)
        raise StorageError(code="directory_unreachable")

    async def _ready(self, connection: Connection) -> Connection:
        try:
            await self.set_up(connection)
            return connection
        except BaseException as error:
            await connection.close()
            if not isinstance(error, psycopg.Error):
                raise
        raise StorageError(code="directory_unreachable")

    async def set_up(self, connection: Connection) -> None:
        """Bring a new connection to this house's settings."""
        milliseconds = str(max(1, round(self.seconds * 1000)))
        await connection.execute(_SESSION, (milliseconds,))

    def pool(self, most: int) -> AsyncConnectionPool[Connection]:
        """A pool of up to so many connections, which is still to be opened."""
        return AsyncConnectionPool(
            self.conninfo(),
            kwargs=_ways(),
            min_size=1,
            max_size=most,
            open=False,
            configure=self.set_up,
            check=still_there,
            timeout=self.seconds,
            # Whoever waits is told before the pool has given up; whoever comes then begins anew.
            reconnect_timeout=self.seconds / 2,
            num_workers=2,
        )


async def still_there(connection: Connection) -> None:
    """Raise `psycopg.OperationalError` where the server has closed an idle connection; asks nobody."""
    for _ in range(2):  # first comes its reason, then the end
        connection.pgconn.consume_input()
    if connection.pgconn.status != ConnStatus.OK:
        raise psycopg.OperationalError


def _ways() -> dict[str, Any]:
    return {
        "autocommit": True,
        "context": ADAPTERS,
        "cursor_factory": AsyncRawCursor,
        # Where a pipeline fails, the driver takes statements for prepared that the server has skipped.
        "prepare_threshold": None,
    }
