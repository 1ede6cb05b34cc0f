"""The directory's tables of what models took: reserved before, settled once, reported by day and model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from echolia.llm.providers.port import Usage
from echolia.storage.engine import Batches, Result, Statement
from echolia.web.context import ModelQuota

DAY_MS: Final = 86_400_000
# How long it is told what models took.
KEPT_DAYS: Final = 400
LOST: Final = "lost"
_MOST_ROWS: Final = 5000
# The `prices` of what is embedded: nothing is charged but tokens, and they have a quota of their own.
EMBEDDINGS: Final = "embeddings"
ASKS: Final = "asks"

_ALIKE: Final = "(prices = 'embeddings') = (?4 = 'embeddings')"
_USED_TODAY: Final = (
    f"(SELECT coalesce(sum(input + output), 0) FROM llm_usage WHERE account = ?2 AND day = ?10 AND {_ALIKE})"  # noqa: S608
    f" + (SELECT coalesce(sum(tokens), 0) FROM llm_leases WHERE account = ?2 AND {_ALIKE})"
)
_SPENT: Final = (
    "(SELECT coalesce(sum(micro_usd), 0) FROM llm_usage WHERE account = ?2 AND day > ?10 - 30)"
    " + (SELECT coalesce(sum(micro_usd), 0) FROM llm_leases WHERE account = ?2)"
)
_RESERVE: Final = (
    "INSERT INTO llm_leases"  # noqa: S608  # of constants
    " (lease, account, model, prices, expires_ms, tokens, micro_usd, least_input, least_micro_usd)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
    f" WHERE (?11 = 0 OR (SELECT count(*) FROM llm_leases WHERE account = ?2 AND {_ALIKE}) < ?11)"
    f" AND (?12 = 0 OR {_USED_TODAY} + ?6 <= ?12) AND (?13 = 0 OR {_SPENT} + ?7 <= ?13)"
)
_ADDED: Final = (
    "INSERT INTO llm_usage (account, day, model, status, prices, requests,"
    " input, cached, written, output, reasoning, micro_usd)"
    " SELECT account, ?2, {model}, ?3, {prices}, 1, {counts} FROM llm_leases WHERE lease = ?1"
    " ON CONFLICT (account, day, model, status, prices) DO UPDATE SET"
    " requests = llm_usage.requests + excluded.requests, input = llm_usage.input + excluded.input,"
    " cached = llm_usage.cached + excluded.cached, written = llm_usage.written + excluded.written,"
    " output = llm_usage.output + excluded.output, reasoning = llm_usage.reasoning + excluded.reasoning,"
    " micro_usd = llm_usage.micro_usd + excluded.micro_usd"
)
_CHARGE: Final = _ADDED.format(model="?4", prices="?5", counts="?6, ?7, ?8, ?9, ?10, ?11")
_CHARGE_LEAST: Final = _ADDED.format(
    model="model", prices="prices", counts="least_input, 0, 0, 0, 0, least_micro_usd"
)
_END: Final = "DELETE FROM llm_leases WHERE lease = ?1"


class Lease(NamedTuple):
    """What a request may come to: at most so many tokens and millionths of a dollar, at least the others."""

    id: bytes
    account: bytes
    model: str
    prices: str
    expires_ms: int
    tokens: int
    micro_usd: int
    least_input: int
    least_micro_usd: int


class Charge(NamedTuple):
    """What a request came to, how it ended, and by which prices."""

    model: str
    status: str
    prices: str
    usage: Usage
    micro_usd: int


class Used(NamedTuple):
    """How much is used or reserved: tokens of this day, millionths of a dollar of 30 days, requests now."""

    tokens: int
    micro_usd: int
    running: int


class Row(NamedTuple):
    """A day's requests of a model that ended alike."""

    day: int
    model: str
    status: str
    prices: str
    requests: int
    input: int
    cached: int
    written: int
    output: int
    reasoning: int
    micro_usd: int


def day_of(now_ms: int) -> int:
    """Days since 1970, UTC."""
    return now_ms // DAY_MS


async def reserve(db: Batches, lease: Lease, quota: ModelQuota, now_ms: int) -> bool:
    """Whether there is room for it beside all that runs; then it is taken. Raises: `StorageError`."""
    limits = (quota.concurrent, quota.tokens_per_day, quota.micro_usd_per_month)
    (result,) = await db.batch([Statement(_RESERVE, (*lease, day_of(now_ms), *limits))])
    return result.changed == 1


async def settle(db: Batches, lease: bytes, account: bytes, charge: Charge, now_ms: int) -> Used:
    """Charge this in place of what was reserved; a second time nothing. Returns what its account has used
    then. Raises: `StorageError`.
    """
    used = charge.usage
    counts = (used.input, used.cached, used.written, used.output, used.reasoning, charge.micro_usd)
    named = (day_of(now_ms), charge.status, charge.model, charge.prices)
    charged = [Statement(_CHARGE, (lease, *named, *counts)), Statement(_END, (lease,))]
    kind = EMBEDDINGS if charge.prices == EMBEDDINGS else ASKS
    _, _, done, running = await db.batch([*charged, *_counting(account, now_ms, kind)])
    return _counted(done, running)


async def sweep(db: Batches, now_ms: int) -> int:
    """Charge the least of what nobody settled in time; returns how many. Raises: `StorageError`."""
    due = "SELECT lease FROM llm_leases WHERE expires_ms <= ?1 LIMIT 500"
    (found,) = await db.batch([Statement(due, (now_ms,))], tx=False)
    for (lease,) in found.rows:
        charge = Statement(_CHARGE_LEAST, (lease, day_of(now_ms), LOST))
        await db.batch([charge, Statement(_END, (lease,))])
    return len(found.rows)


async def used(db: Batches, account: bytes, now_ms: int, kind: str = ASKS) -> Used:
    """What counts now against the quota of `ASKS`, or of `EMBEDDINGS`. Raises: `StorageError`."""
    return _counted(*await db.batch(_counting(account, now_ms, kind), tx=False))


def _counting(account: bytes, now_ms: int, kind: str) -> list[Statement]:
    alike = f"(prices = 'embeddings') = {'TRUE' if kind == EMBEDDINGS else 'FALSE'}"
    today = (
        "SELECT coalesce(sum(CASE WHEN day = ?2 THEN input + output ELSE 0 END), 0),"  # noqa: S608  # of constants
        f" coalesce(sum(micro_usd), 0) FROM llm_usage WHERE account = ?1 AND day > ?2 - 30 AND {alike}"
    )
    reserved = (
        "SELECT coalesce(sum(tokens), 0), coalesce(sum(micro_usd), 0), count(*)"  # noqa: S608
        f" FROM llm_leases WHERE account = ?1 AND {alike}"
    )
    return [Statement(today, (account, day_of(now_ms))), Statement(reserved, (account,))]


def _counted(done: Result, running: Result) -> Used:
    (tokens, spent), (held, to_spend, count) = done.rows[0], running.rows[0]
    return Used(_int(tokens) + _int(held), _int(spent) + _int(to_spend), _int(count))


async def report(db: Batches, account: bytes, first_day: int, last_day: int) -> Sequence[Row]:
    """What was used on these days, both included, by day and model. Raises: `StorageError`."""
    columns = ", ".join(Row._fields)
    sql = (
        f"SELECT {columns} FROM llm_usage WHERE account = ?1 AND day BETWEEN ?2 AND ?3"  # noqa: S608
        f" ORDER BY day, model, status, prices LIMIT {_MOST_ROWS}"
    )
    (result,) = await db.batch([Statement(sql, (account, first_day, last_day))], tx=False)
    return [Row(*row) for row in result.rows]  # type: ignore[arg-type]  # the columns' types are the table's


async def forget(db: Batches, before_day: int) -> int:
    """Remove what is older; returns how many rows that were. Raises: `StorageError`."""
    (result,) = await db.batch([Statement("DELETE FROM llm_usage WHERE day < ?1", (before_day,))])
    return result.changed


async def kept(db: Batches, account: bytes) -> tuple[Result, Result]:
    """All rows of an account, of both tables, for its ledger. Raises: `StorageError`."""
    usage = (
        "SELECT day, model, status, prices, requests, input, cached, written, output, reasoning, micro_usd"
    )
    leases = "SELECT model, prices, expires_ms, tokens, micro_usd, least_input, least_micro_usd"
    both = await db.batch(
        [
            Statement(f"{usage} FROM llm_usage WHERE account = ?1 ORDER BY day LIMIT 1000", (account,)),
            Statement(f"{leases} FROM llm_leases WHERE account = ?1 LIMIT 1000", (account,)),
        ],
        tx=False,
    )
    return both[0], both[1]


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
