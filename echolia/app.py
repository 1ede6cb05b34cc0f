"""The composition root: the one file that knows every feature and introduces them to each other."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, NamedTuple

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from echolia.auth import routes as auth_routes
from echolia.auth.service import Auth, open_auth
from echolia.auth.service.access_tokens import load_keys
from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.storage.databases import FILES, UserDatabases
from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, FileDriver, Statement, StorageFull
from echolia.storage.homes import open_homes
from echolia.storage.migrate import Migration, load_migrations
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.provisioner import Provisioner
from echolia.storage.registry import DirectoryRegistry
from echolia.storage.reserve import Reserve, SparedDatabase, free_disk_bytes
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.provisioner import Files
from echolia.sync import routes as sync_routes
from echolia.sync.checkpoints import Checkpoints
from echolia.sync.compaction import DAY_MS, Compaction, Patience
from echolia.sync.ledger import SyncLedger
from echolia.sync.live.endpoints import stream_route, ticket_route
from echolia.sync.live.hub import Live
from echolia.sync.live.ledger import LiveLedger
from echolia.sync.live.tickets import Tickets
from echolia.sync.quota import Quotas
from echolia.sync.service import SyncService
from echolia.sync.walk import Walking
from echolia.web import health
from echolia.web import ledger as ledger_routes
from echolia.web.admission import Admission
from echolia.web.api import build_api
from echolia.web.context import Dice, Keeper
from echolia.web.gate import Gate, Journal, Rules
from echolia.web.limits import Amounts, Limits, Origins
from echolia.web.logs import AccessLog
from echolia.web.metrics import Metrics
from echolia.web.notices.choice import chosen
from echolia.web.place_ledger import PlaceLedger
from echolia.web.tiers import OneTier, default_tier

SWEEP_S: Final = 60.0
# Asked by whoever watches the server, as often as they like.
_UNLIMITED: Final = {("GET", path): None for path in health.PATHS}


class _Synced(NamedTuple):
    """The parts of the sync feature."""

    service: SyncService
    live: Live
    tickets: Tickets
    checkpoints: Checkpoints


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
        reserve = Reserve(settings.data, settings.disk_reserve_bytes)
        reserve.hold()
        if driver is None:
            driver = own = SqliteDriver(settings.threads)
            stack.push_async_callback(own.close)
        directory = await _directory(settings, driver, reserve)
        stack.push_async_callback(directory.close)
        migrations = load_migrations("user")
        homes = _homes(settings, driver, migrations, clock, stack)
        registry, new_home = DirectoryRegistry(directory), settings.new_accounts
        databases = UserDatabases(homes, registry, migrations, settings.open_databases, reserve, new_home)
        stack.push_async_callback(databases.close)
        swept = await databases.sweep()

        keys = load_keys(settings.data / "keys", clock_ms(), settings.access_token_seconds * 1000, dice)
        auth = open_auth(settings, directory, databases, keys, clock_ms, dice)
        compaction, checkpoints = _history(settings, databases, auth, clock_ms)
        stack.push_async_callback(compaction.close)
        live = Live(databases.lease, auth.devices, clock_ms)
        quotas = Quotas(OneTier(default_tier(settings)), Amounts(clock))
        sync = SyncService(databases, auth.devices, clock_ms, live.moved, compaction.consider, quotas)
        auth.devices.on_end(live.ended)
        await auth.devices.load()
        await stack.enter_async_context(live.joined(chosen(settings, directory, clock_ms)))
        tickets = Tickets(directory, auth.devices, clock_ms)
        deletions = await auth.accounts.resume_deletions()
        await auth.accounts.keep_recoveries()
        structlog.get_logger().info("swept", files=swept, deletions=deletions)

        sweeper = asyncio.create_task(_sweep(auth, tickets, reserve))
        stack.push_async_callback(_stopped, sweeper)
        synced = _Synced(sync, live, tickets, checkpoints)
        ready = _ready(settings, directory, reserve)
        yield _gate(settings, clock, access_log, auth, synced, databases, ready)


async def _directory(settings: Settings, driver: FileDriver, reserve: Reserve) -> Database:
    path, migrations = settings.data / "directory.db", load_migrations("directory")
    directory = await reserve.spared(lambda: open_directory(path, driver, migrations))
    return SparedDatabase(directory, reserve)


def _homes(
    settings: Settings,
    driver: FileDriver,
    migrations: Sequence[Migration],
    clock: Callable[[], float],
    stack: AsyncExitStack,
) -> dict[str, Provisioner]:
    """Where accounts' databases may be, until the stack ends."""
    homes = open_homes(settings, migrations, clock)
    for home in homes.values():
        stack.push_async_callback(home.close)
    return {**homes, FILES: Files(settings.data / "users", driver, migrations)}


def _history(
    settings: Settings, databases: UserDatabases, auth: Auth, clock_ms: Callable[[], int]
) -> tuple[Compaction, Checkpoints]:
    """What makes logs shorter."""
    walking = Walking()
    patience = Patience(settings.undo_days * DAY_MS, settings.parked_days * DAY_MS)
    compaction = Compaction(databases, auth.devices, clock_ms, patience, walking)
    checkpoints = Checkpoints(databases, auth.devices, clock_ms, walking, compaction.consider)
    auth.devices.on_end(compaction.stop)
    auth.devices.before_cut_off(checkpoints.cutting_off)
    return compaction, checkpoints


def _gate(
    settings: Settings,
    clock: Callable[[], float],
    access_log: AccessLog | None,
    auth: Auth,
    synced: _Synced,
    databases: UserDatabases,
    ready: Callable[[], Awaitable[None]],
) -> Gate:
    """HTTP around the features. A new feature brings its router, its lean routes and its open routes here."""
    metrics, waiting = Metrics(), auth.pairing.waiting
    metrics.gauge("databases_open", "Open databases of accounts", lambda: databases.open_count)
    metrics.gauge("live_streams", "Devices that listen", lambda: synced.live.listeners.count)
    metrics.gauge("mailbox_waits", "Devices that wait for the other in pairing", lambda: waiting.count)
    limits = Limits(_limits(settings), clock)
    keepers: list[Keeper] = [
        auth.ledger,
        SyncLedger(databases, synced.live.listeners),
        LiveLedger(synced.tickets.db),
        PlaceLedger(databases.registry),
        ledger_routes.RequestLedger(limits),
    ]
    lean = [
        *sync_routes.lean_routes(synced.service, synced.checkpoints),
        ticket_route(synced.tickets),
        ledger_routes.lean_route(keepers),
    ]
    streams = [stream_route(synced.live, synced.tickets)]
    routers = [health.router(metrics, ready), auth_routes.router(auth)]
    api = build_api(routers, [*lean, *streams])
    rules = Rules(
        admission=Admission(auth.tokens.read, auth.devices, clock),
        limits=limits,
        origins=Origins(settings.trusted_proxies, clock),
        open_routes={**_UNLIMITED, **auth_routes.OPEN},
        body_seconds=settings.body_seconds,
    )
    return Gate(api, lean, rules, Journal(metrics, access_log), [waiting.end, synced.live.close], streams)


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
        "checkpoint": settings.checkpoint_per_minute,
        "ledger": settings.ledger_per_minute,
    }


def _ready(settings: Settings, directory: Database, reserve: Reserve) -> Callable[[], Awaitable[None]]:
    async def ready() -> None:
        # Migrations were applied when it was opened, or it would not be open.
        await directory.batch([Statement("SELECT 1 FROM accounts LIMIT 1")], tx=False)
        if free_disk_bytes(settings.data) < settings.free_disk_bytes:
            raise StorageFull
        reserve.refuse_growth()

    return ready


async def _sweep(auth: Auth, tickets: Tickets, reserve: Reserve) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await asyncio.to_thread(reserve.hold)
            await auth.sweep()
            await tickets.sweep()
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
