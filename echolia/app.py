"""The composition root: the one file that knows every feature and introduces them to each other."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from echolia.answering import Answering, open_answering
from echolia.auth import routes as auth_routes
from echolia.auth.service import ALONE, Auth, Others, open_auth
from echolia.auth.service.access_tokens import SigningKeys, load_keys, one_key
from echolia.auth.service.accounts import AccountDatabases
from echolia.background import beside, count_jobs, count_payments, count_upgrades, sweeping, upgrading
from echolia.core.errors import EcholiaError
from echolia.data_folder import open_databases, operator_of, whole_folder
from echolia.embeddings import routes as embedding_routes
from echolia.limiting import limits_of, networks_of
from echolia.llm import routes as llm_routes
from echolia.llm.ledger import LlmLedger
from echolia.paying import Paid, open_paid, open_tiers_of
from echolia.payments import routes as payments_routes
from echolia.payments.ledger import PaymentsLedger
from echolia.payments.service.assembled import Payments, Stores
from echolia.settings import Settings
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Database, FileDriver, Statement, StorageFull
from echolia.storage.fencing import FENCED_SINCE
from echolia.storage.file_homes import Homes, files_alone
from echolia.storage.operating.service import Operator
from echolia.storage.reserve import Reserve, free_disk_bytes
from echolia.storage.secret_files import derived, load_key
from echolia.storage.sqlite.driver import SqliteDriver
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
from echolia.web.context import DeviceEntitlements, Dice, Keeper
from echolia.web.exchange import Journal
from echolia.web.gate import Gate, Rules
from echolia.web.limits import Amounts, Limits
from echolia.web.logs import AccessLog
from echolia.web.metrics import Metrics
from echolia.web.notices.choice import chosen
from echolia.web.owners import HERE, REGISTRAR, Owners
from echolia.web.place_ledger import PlaceLedger
from echolia.web.scraping import Scrape
from echolia.web.sealed_door import Sealing
from echolia.workers.handing_over import AllDatabases
from echolia.workers.ledger import PlacementLedger
from echolia.workers.node import Node, asked_alone
from echolia.workers.secured import CLUSTER_KEY
from echolia.workers.store import slot_of

# Where two devices that pair may come to different processes.
MAILBOX_POLL_S: Final = 0.3
# Asked by whoever watches the server, as often as they like.
_UNLIMITED: Final = {("GET", path): None for path in health.PATHS}


class _Features(NamedTuple):
    """What is reached over HTTP."""

    auth: Auth
    synced: _Synced
    models: Answering
    paid: Paid


class Place(NamedTuple):
    """Which of several processes this is, and the keys of sealed requests that they have in common."""

    number: int = 0
    sealing: Sealing | None = None


ALONE_HERE: Final = Place()


class _Watched(NamedTuple):
    """What is told to whoever watches the server."""

    scrape: Scrape
    ready: Callable[[], Awaitable[None]]


class _Synced(NamedTuple):
    """The parts of the sync feature."""

    service: SyncService
    live: Live
    tickets: Tickets
    checkpoints: Checkpoints


@asynccontextmanager
async def running(  # noqa: PLR0913  # whatever a test has its own of
    settings: Settings,
    clock: Callable[[], float] = time.time,
    access_log: AccessLog | None = None,
    *,
    dice: Dice = secrets.token_bytes,
    driver: FileDriver | None = None,
    directory: Database | None = None,
    homes: Homes = files_alone,
    place: Place = ALONE_HERE,
    stores: Stores | None = None,
) -> AsyncIterator[Gate]:
    """The server's ASGI application while its databases are open.

    `clock` is in Unix seconds; `driver` opens the databases instead of one with the settings' threads;
    `homes` are the places of accounts' databases, `stores` are taken instead of those that the settings name.
    With a `directory`, which is open, this is one of several processes of the data folder, the one that
    `place` says, and owns some of the accounts.
    Raises: `storage_owned`, `migration_changed`, `migration_ahead`, `StorageError`.
    """

    def clock_ms() -> int:
        return int(clock() * 1000)

    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        reserve = Reserve(settings.data, settings.disk_reserve_bytes)
        if driver is None:
            driver = own = SqliteDriver(settings.threads)
            stack.push_async_callback(own.close)
        node = Node(settings, directory) if directory else None
        if directory is None:
            _refuse_address(settings)
            directory = await stack.enter_async_context(whole_folder(settings, driver, reserve, homes))
        fence = node.placement.fence if node else lambda _: None
        databases = await stack.enter_async_context(
            open_databases(settings, driver, directory, reserve, homes, fence, clock)
        )
        operator = operator_of(settings, databases, directory, driver, clock_ms, dice)
        everywhere = _everywhere(node, databases, operator)
        await databases.upgrades.begin()
        tiers = open_tiers_of(settings, directory, clock_ms, dice)
        auth = _auth(settings, directory, everywhere, clock_ms, tiers, dice, node)
        paid = await open_paid(stack, settings, tiers, stores, auth.proofs, clock_ms)
        quotas = Quotas(tiers, Amounts(clock))
        synced = await _synced(stack, settings, directory, databases, everywhere, auth, quotas, clock_ms)
        models = open_answering(stack, settings, directory, tiers, clock_ms, dice, place.sealing)
        swept = _swept(auth, synced.tickets, reserve, operator, models, paid.payments)
        beside(
            stack, sweeping(*swept), upgrading(settings, operator), paid.workshop.work(settings.jobs_seconds)
        )
        features = _Features(auth, synced, models, paid)
        watched = _watched(settings, directory, reserve, place.number, node)
        owners: Owners = node.owners if node else HERE
        gate = _gate(settings, clock, access_log, features, operator, watched, owners)
        stack.push_async_callback(gate.close)
        await stack.enter_async_context(_joined(settings, node, gate, auth, operator, watched.scrape))
        yield gate


def _everywhere(
    node: Node | None, databases: UserDatabases, operator: Operator
) -> AllDatabases | UserDatabases:
    """The databases of all accounts, wherever they are served; of several processes each has its own."""
    if node is None:
        return databases
    databases.upgrades.served_since = FENCED_SINCE
    operator.upgrading.only(databases.ours)
    return node.all_databases(databases)


def _refuse_address(settings: Settings) -> None:
    if settings.address:
        raise EcholiaError("settings_invalid", "ECHOLIA_ADDRESS is for `echolia serve`")


@asynccontextmanager
async def _joined(
    settings: Settings, node: Node | None, gate: Gate, auth: Auth, operator: Operator, scrape: Scrape
) -> AsyncIterator[None]:
    """Everything is open: own a share of the accounts while the block lasts, or, being alone, all."""
    if node is None:
        await _resume(auth, lambda _: True)
        joined = asked_alone(settings.data, operator)
    else:
        joined = node.joined(
            gate, lambda slots: _gained(auth, slots), auth.devices.forget, operator, scrape.told
        )
    async with joined:
        yield


async def _gained(auth: Auth, slots: Collection[int]) -> None:
    """Accounts are ours from now on: what was remembered of them is of before."""
    await auth.devices.look_again(None)
    await _resume(auth, lambda account: slot_of(account) in slots)


async def _resume(auth: Auth, ours: Callable[[bytes], bool]) -> None:
    """Finish what a crash interrupted, and learn what an earlier version did not keep."""
    deletions = await auth.accounts.resume_deletions(ours)
    if ours(REGISTRAR):
        await auth.accounts.keep_recoveries()
    structlog.get_logger().info("swept", deletions=deletions)


def _auth(
    settings: Settings,
    directory: Database,
    databases: AccountDatabases,
    clock_ms: Callable[[], int],
    entitlements: DeviceEntitlements,
    dice: Dice,
    node: Node | None,
) -> Auth:
    def load() -> SigningKeys:
        if settings.address:
            return one_key(derived(load_key(settings.data / CLUSTER_KEY), "access tokens"))
        return load_keys(settings.data / "keys", clock_ms(), settings.access_token_seconds * 1000, dice)

    others = Others(node.placement.here, node.tell_grown, load, MAILBOX_POLL_S) if node else ALONE
    return open_auth(settings, directory, databases, load(), clock_ms, entitlements, dice, others)


async def _synced(
    stack: AsyncExitStack,
    settings: Settings,
    directory: Database,
    databases: UserDatabases,
    everywhere: AllDatabases | UserDatabases,
    auth: Auth,
    quotas: Quotas,
    clock_ms: Callable[[], int],
) -> _Synced:
    """The sync feature, and devices loaded that it asks about. Raises: `StorageError`."""
    compaction, checkpoints = _history(settings, databases, auth, clock_ms)
    stack.push_async_callback(compaction.close)
    live = Live(everywhere.lease, auth.devices, clock_ms)
    service = SyncService(databases, auth.devices, clock_ms, live.moved, compaction.consider, quotas)
    auth.devices.on_end(live.ended)
    await auth.devices.load()
    await stack.enter_async_context(live.joined(chosen(settings, directory, clock_ms)))
    return _Synced(service, live, Tickets(directory, auth.devices, clock_ms), checkpoints)


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
    features: _Features,
    operator: Operator,
    watched: _Watched,
    owners: Owners,
) -> Gate:
    """HTTP around the features. A new feature brings its router, its lean routes and its open routes here."""
    auth, synced, models, (payments, workshop) = features
    embeddings = models.embeddings
    metrics, waiting, databases = watched.scrape.metrics, auth.pairing.waiting, operator.databases
    metrics.gauge("databases_open", "Open databases of accounts", lambda: databases.open_count)
    count_upgrades(metrics, operator)
    metrics.gauge("live_streams", "Devices that listen", lambda: synced.live.listeners.count)
    metrics.gauge("llm_running", "Answers of models under way", lambda: models.service.running)
    metrics.gauge("llm_tripped", "Provider keys that are left alone", lambda: models.service.trying.tripped)
    metrics.counter("llm_tries", "Requests to model providers", lambda: models.service.trying.tries)
    metrics.gauge(
        "embeddings_waiting", "Windows that wait to be embedded", lambda: embeddings.backlog.waiting
    )
    count_jobs(metrics, workshop)
    count_payments(metrics, payments.receiving.counts)
    metrics.gauge("mailbox_waits", "Devices that wait for the other in pairing", lambda: waiting.count)
    limits = Limits(limits_of(settings), clock)
    keepers: list[Keeper] = [
        auth.ledger,
        SyncLedger(databases, synced.live.listeners),
        LiveLedger(synced.tickets.db),
        PlaceLedger(databases.registry, operator.snapshots),
        PlacementLedger(synced.tickets.db),
        LlmLedger(models.service.directory),
        PaymentsLedger(payments.tiers),
        ledger_routes.RequestLedger(limits),
    ]
    lean = [
        *sync_routes.lean_routes(synced.service, synced.checkpoints),
        ticket_route(synced.tickets),
        ledger_routes.lean_route(keepers),
        *llm_routes.lean_routes(models.service, models.door),
        *embedding_routes.lean_routes(embeddings),
    ]
    relays = [
        *llm_routes.relay_routes(models.service, models.door),
        *embedding_routes.relay_routes(embeddings, models.door),
    ]
    streams = [stream_route(synced.live, synced.tickets)]
    routers = [health.router(*watched), auth_routes.router(auth), payments_routes.router(payments)]
    api = build_api(routers, [*lean, *streams, *relays])
    rules = Rules(
        admission=Admission(auth.tokens.read, auth.devices, clock),
        limits=limits,
        networks=networks_of(settings, clock, limits),
        open_routes={**_UNLIMITED, **auth_routes.OPEN, **payments_routes.OPEN},
        body_seconds=settings.body_seconds,
        one_place=auth_routes.ONE_PLACE,
    )
    ends = [waiting.end, synced.live.close]
    return Gate(api, lean, rules, Journal(metrics, access_log), ends, streams, owners, relays)


def _watched(
    settings: Settings, directory: Database, reserve: Reserve, worker: int, node: Node | None
) -> _Watched:
    async def ready() -> None:
        # Migrations were applied when it was opened, or it would not be open.
        await directory.batch([Statement("SELECT 1 FROM accounts LIMIT 1")], tx=False)
        if free_disk_bytes(settings.data) < settings.free_disk_bytes:
            raise StorageFull
        reserve.refuse_growth()

    return _Watched(Scrape(Metrics(), worker, node.metrics.answers if node else None), ready)


def _swept(
    auth: Auth, tickets: Tickets, reserve: Reserve, operator: Operator, models: Answering, payments: Payments
) -> list[Callable[[], Awaitable[object]]]:
    hold = partial(asyncio.to_thread, reserve.hold)
    of_databases = (operator.upgrading.count, operator.moves.sweep)
    return [hold, auth.sweep, tickets.sweep, models.service.sweep, payments.reconcilers.sweep, *of_databases]


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
