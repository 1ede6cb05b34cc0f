"""The composition root: the one file that knows every feature and introduces them to each other."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from echolia.auth import routes as auth_routes
from echolia.auth.service import Auth, open_auth
from echolia.auth.service.access_tokens import load_keys
from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.storage.databases import UserDatabases
from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, FileDriver, Statement, StorageFull
from echolia.storage.migrate import load_migrations
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.sqlite_driver import SqliteDriver
from echolia.sync import routes as sync_routes
from echolia.sync.service import SyncService
from echolia.web import health
from echolia.web.admission import Admission
from echolia.web.api import build_api
from echolia.web.context import Dice
from echolia.web.gate import Gate, Journal, Rules
from echolia.web.limits import Limits, Origins
from echolia.web.logs import AccessLog
from echolia.web.metrics import Metrics

SWEEP_S: Final = 60.0
# Asked by whoever watches the server, as often as they like.
_UNLIMITED: Final = {("GET", path): None for path in health.PATHS}


@asynccontextmanager
async def running(
    settings: Settings,
    clock: Callable[[], float] = time.time,
    access_log: AccessLog | None = None,
    *,
    dice: Dice = secrets.token_bytes,
    driver: FileDriver | None = None,
) -> AsyncIterator[Gate]:
    """The server's ASGI application while its databases are open.

    `clock` is in Unix seconds; `driver` opens the databases instead of one with the settings' threads.
    Raises: `storage_owned`, `migration_changed`, `migration_ahead`, `StorageError`.
    """

    def clock_ms() -> int:
        return int(clock() * 1000)

    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        lock = OwnerLock(settings.data)
        stack.callback(lock.release)
        if driver is None:
            driver = own = SqliteDriver(settings.threads)
            stack.push_async_callback(own.close)
        directory = await open_directory(settings.data / "directory.db", driver, load_migrations("directory"))
        stack.push_async_callback(directory.close)
        databases = UserDatabases(
            settings.data / "users", driver, load_migrations("user"), settings.open_databases
        )
        stack.push_async_callback(databases.close)
        files = await databases.sweep()

        keys = load_keys(settings.data / "keys", clock_ms(), settings.access_token_seconds * 1000, dice)
        auth = open_auth(settings, directory, databases, keys, clock_ms, lambda: _purge(directory), dice)
        sync = SyncService(databases, auth.devices, clock_ms)
        auth.devices.on_end(sync.listeners.end)
        await auth.devices.load()
        deletions = await auth.accounts.resume_deletions()
        structlog.get_logger().info("swept", files=files, deletions=deletions)

        sweeper = asyncio.create_task(_sweep(auth))
        stack.push_async_callback(_stopped, sweeper)
        yield _gate(settings, clock, access_log, auth, sync, databases, _ready(settings, directory))


def _gate(
    settings: Settings,
    clock: Callable[[], float],
    access_log: AccessLog | None,
    auth: Auth,
    sync: SyncService,
    databases: UserDatabases,
    ready: Callable[[], Awaitable[None]],
) -> Gate:
    """HTTP around the features. A new feature brings its router, its lean routes and its open routes here."""
    metrics, waiting = Metrics(), auth.pairing.waiting
    metrics.gauge("databases_open", "Open databases of accounts", lambda: databases.open_count)
    metrics.gauge("live_streams", "Devices that listen", lambda: sync.listeners.count)
    metrics.gauge("mailbox_waits", "Devices that wait for the other in pairing", lambda: waiting.count)
    lean = [*sync_routes.lean_routes(sync), *auth_routes.lean_routes(auth)]
    routers = [health.router(metrics, ready), auth_routes.router(auth), sync_routes.router(sync)]
    api = build_api(routers, lean)
    rules = Rules(
        admission=Admission(auth.tokens.read, auth.devices, clock),
        limits=Limits(_limits(settings), clock),
        origins=Origins(settings.trusted_proxies, clock),
        open_routes={**_UNLIMITED, **auth_routes.OPEN},
        body_seconds=settings.body_seconds,
    )
    return Gate(api, lean, rules, Journal(metrics, access_log), [waiting.end])


def _limits(settings: Settings) -> dict[str, int]:
    return {
        "register": settings.register_per_minute,
        "challenge": settings.challenge_per_minute,
        "token": settings.token_per_minute,
        "refresh": settings.refresh_per_minute,
        "mailbox": settings.mailbox_per_minute,
        "anonymous": settings.anonymous_per_minute,
        "account": settings.account_per_minute,
        "push": settings.push_per_minute,
        "pull": settings.pull_per_minute,
    }


def _ready(settings: Settings, directory: Database) -> Callable[[], Awaitable[None]]:
    async def ready() -> None:
        # Migrations were applied when it was opened, or it would not be open.
        await directory.batch([Statement("SELECT 1 FROM accounts LIMIT 1")], tx=False)
        if health.free_disk_bytes(settings.data) < settings.free_disk_bytes:
            raise StorageFull

    return ready


async def _purge(directory: Database) -> None:
    """Empty the directory's write-ahead log: until then, what was deleted from the file can still be read in
    it.
    """
    await directory.batch([Statement("PRAGMA wal_checkpoint(TRUNCATE)")], tx=False)


async def _sweep(auth: Auth) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await auth.sweep()
        except EcholiaError:
            # Nobody waits for this, and what was not swept today is swept in a minute.
            structlog.get_logger().warning("sweep_failed")


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def create_app(settings: Settings | None = None) -> ASGIApp:
    """The server for any ASGI program: databases open with its lifespan and close with it."""
    opened: list[Gate] = []
    stack = AsyncExitStack()

    async def lifespan(receive: Receive, send: Send) -> None:
        await receive()
        opened.append(await stack.enter_async_context(running(settings or Settings())))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await stack.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        else:
            await opened[0](scope, receive, send)

    return app
