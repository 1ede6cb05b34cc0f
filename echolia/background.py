"""What a server does beside answering: sweeps each minute, migrations of databases, until it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Final

import structlog

from echolia.core.errors import EcholiaError
from echolia.payments.stores.port import StoreName
from echolia.settings import Settings
from echolia.storage.operating.service import Operator
from echolia.storage.sweeping import Pace
from echolia.storage.upgrades import Trouble
from echolia.web.metrics import Metrics
from echolia.working import Workshop

SWEEP_S: Final = 60.0
_OUTCOMES: Final = {
    "taken": "that were stored",
    "repeated": "that were stored before",
    "unreadable": "that nobody understands",
    "refused": "that were not theirs",
    "deferred": "that could not be verified then",
}


def beside(stack: AsyncExitStack, *works: Coroutine[None, None, None]) -> None:
    """Do this in the background until the stack is closed."""
    for work in works:
        stack.push_async_callback(_stopped, asyncio.create_task(work))


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def sweeping(*sweeps: Callable[[], Awaitable[object]]) -> None:
    """All of these, one after the other, each minute."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            for sweep in sweeps:
                await sweep()
        except EcholiaError:
            # Nobody waits for this, and what was not swept today is swept in a minute.
            structlog.get_logger().warning("sweep_failed")


async def upgrading(settings: Settings, operator: Operator) -> None:
    """Migrate databases that nobody opens, at the settings' pace."""
    operator.databases.upgrades.on_trouble(_log_trouble)
    if settings.migrate_per_second:
        await operator.upgrading.run(Pace(settings.migrate_per_second))


def _log_trouble(trouble: Trouble) -> None:
    log, state = structlog.get_logger(), trouble.state
    if trouble.code is not None:
        log.error("upgrade_failed", code=trouble.code)
    else:
        log.error("upgrades_paused", version=state.version, tried=state.tried, failed=state.failed)


def count_upgrades(metrics: Metrics, operator: Operator) -> None:
    """Tell how far they are."""
    upgrades, upgrading = operator.databases.upgrades, operator.upgrading
    metrics.gauge("databases_behind", "Databases still to be migrated", lambda: upgrading.behind)
    metrics.gauge("databases_quarantined", "Databases whose migration failed", lambda: upgrading.quarantined)
    metrics.gauge(
        "migrations_paused", "Whether migrations of databases are paused", lambda: bool(upgrades.state.paused)
    )
    metrics.counter("databases_migrated", "Databases migrated", lambda: upgrades.migrated_total)
    metrics.counter(
        "migrations_failed", "Migrations that ended in quarantine", lambda: upgrades.quarantined_total
    )


def count_jobs(metrics: Metrics, workshop: Workshop) -> None:
    """Tell how many jobs this process did."""
    metrics.counter("jobs_done", "Jobs done", lambda: workshop.done)
    metrics.counter("jobs_failed", "Jobs that failed, and are tried again", lambda: workshop.failed)
    metrics.counter("jobs_given_up", "Jobs that nobody tries any more", lambda: workshop.given_up)


def count_payments(metrics: Metrics, counts: Mapping[tuple[StoreName, str], int]) -> None:
    """Tell what came from stores, by how it ended."""

    def reader(name: str) -> Callable[[], float]:
        return lambda: sum(count for (_, outcome), count in counts.items() if outcome == name)

    for outcome, meaning in _OUTCOMES.items():
        metrics.counter(f"notifications_{outcome}", f"Notifications of stores {meaning}", reader(outcome))
