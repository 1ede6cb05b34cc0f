"""The directory's table of jobs: work that has to be done some time, at least once, by whichever process.

A job is asked for in the same unit of work as what makes it necessary, and there is one of each kind and
subject. Who claims it has it for a while; a random fence keeps whoever was too slow from ending it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from echolia.storage.engine import Database, Statement, Value

LEASE_MS: Final = 120_000
# After so many failures in a row it is given up, until somebody asks again: by then it is about a day.
MOST_ATTEMPTS: Final = 40
FIRST_PAUSE_MS: Final = 1_000
LONGEST_PAUSE_MS: Final = 3_600_000

_INSERT: Final = "INSERT INTO jobs (kind, subject, due_ms, wanted, attempts, lease_ms, dead, code)"
_VALUES: Final = "?1, ?2, ?3, 1, 0, 0, 0, ''"
_BEGIN: Final = f"{_INSERT} VALUES ({_VALUES}) ON CONFLICT (kind, subject) DO NOTHING"
_ASK: Final = (
    f"{_INSERT} {{given}} ON CONFLICT (kind, subject) DO UPDATE SET wanted = jobs.wanted + 1, dead = 0,"
    # Who has to wait after a failure waits, however often it is asked for; and what runs is run again after.
    " due_ms = CASE WHEN jobs.attempts > 0 AND jobs.dead = 0 OR jobs.due_ms < excluded.due_ms"
    " THEN jobs.due_ms ELSE excluded.due_ms END,"
    " attempts = CASE WHEN jobs.dead = 1 THEN 0 ELSE jobs.attempts END"
)
_CLAIM: Final = (
    "UPDATE jobs SET fence = ?1, lease_ms = ?2, attempts = attempts + 1"
    " WHERE job = (SELECT job FROM jobs WHERE dead = 0 AND due_ms <= ?3 AND lease_ms <= ?3"
    " ORDER BY due_ms, job LIMIT 1)"
    # Once more: somebody may have been faster.
    " AND lease_ms <= ?3 AND dead = 0"
    " RETURNING job, kind, subject, wanted, attempts"
)


Work = Callable[[bytes], Awaitable[None]]


class Handler(NamedTuple):
    """What does the jobs of a kind, given the subject.

    With `every_ms` there is one for each of the `standing` subjects, and it comes again so long after.
    """

    work: Work
    every_ms: int | None = None
    standing: Sequence[bytes] = (b"",)


class Job(NamedTuple):
    """A job that this process has until its lease ends."""

    id: int
    kind: str
    subject: bytes
    wanted: int
    attempts: int
    fence: bytes


class Listed(NamedTuple):
    """A job as an operator sees it."""

    id: int
    kind: str
    due_ms: int
    attempts: int
    running: bool
    dead: bool
    code: str


def asked(kind: str, subject: bytes, due_ms: int) -> Statement:
    """Have it done at this time or soon after; where it is to be done already, once is enough."""
    return Statement(_ASK.format(given=f"VALUES ({_VALUES})"), (kind, subject, due_ms))


def asked_where(kind: str, subject: bytes, due_ms: int, condition: str, *params: Value) -> Statement:
    """The same, if this condition holds; its parameters begin at `?4`."""
    given = f"SELECT {_VALUES} WHERE {condition}"
    return Statement(_ASK.format(given=given), (kind, subject, due_ms, *params))


def begun(kind: str, subject: bytes, due_ms: int) -> Statement:
    """Have it there, as the first of a job that comes again and again; nothing where there is one."""
    return Statement(_BEGIN, (kind, subject, due_ms))


async def claim(db: Database, now_ms: int, fence: bytes) -> Job | None:
    """The job that has been due longest, if there is one. Raises: `StorageError`."""
    (found,) = await db.batch([Statement(_CLAIM, (fence, now_ms + LEASE_MS, now_ms))])
    rows: list[Any] = found.rows
    if not rows:
        return None
    job, kind, subject, wanted, attempts = rows[0]
    return Job(job, kind, subject, wanted, attempts, fence)


async def done(db: Database, job: Job, now_ms: int, again_ms: int | None = None) -> bool:
    """It was done: away with it, unless it was asked for meanwhile, or is due again at `again_ms`.

    Returns False where somebody else has it by now. Raises: `StorageError`.
    """
    mine = (job.id, job.fence)
    due = "CASE WHEN wanted <> ?4 OR ?5 < 0 THEN ?3 ELSE ?5 END"
    kept, gone = await db.batch(
        [
            Statement(
                f"UPDATE jobs SET due_ms = {due}, attempts = 0, lease_ms = 0, fence = NULL, code = ''"  # noqa: S608
                " WHERE job = ?1 AND fence = ?2 AND (wanted <> ?4 OR ?5 >= 0)",
                (*mine, now_ms, job.wanted, -1 if again_ms is None else again_ms),
            ),
            Statement("DELETE FROM jobs WHERE job = ? AND fence = ?", mine),
        ]
    )
    return bool(kept.changed or gone.changed)


async def failed(
    db: Database, job: Job, now_ms: int, code: str, share: float, least_ms: int = 0, *, forever: bool = False
) -> bool:
    """It failed: due again after a pause that doubles, of which a random `share` (0 to 1) decides a half.

    `least_ms` is what was asked for by who refused; `forever`: it comes again and again, and is never given
    up. Returns whether it is given up now. Raises: `StorageError`.
    """
    longest = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(job.attempts, 20))
    pause_ms = max(least_ms, int(longest * (0.5 + share / 2)))
    dead = 0 if forever or job.attempts < MOST_ATTEMPTS else 1
    sql = (
        "UPDATE jobs SET due_ms = ?3, lease_ms = 0, fence = NULL, code = ?4, dead = ?5"
        " WHERE job = ?1 AND fence = ?2"
    )
    await db.batch([Statement(sql, (job.id, job.fence, now_ms + pause_ms, code, dead))])
    return bool(dead)


async def listed(db: Database, now_ms: int, most: int, *, dead: bool) -> Sequence[Listed]:
    """Jobs by when they are due; only those given up, or all. Raises: `StorageError`."""
    sql = (
        "SELECT job, kind, due_ms, attempts, lease_ms, dead, code FROM jobs WHERE dead >= ?1"
        " ORDER BY due_ms, job LIMIT ?2"
    )
    (found,) = await db.batch([Statement(sql, (int(dead), most))], tx=False)
    rows: list[Any] = found.rows
    return [
        Listed(job, kind, due_ms, attempts, lease_ms > now_ms, bool(given_up), code)
        for job, kind, due_ms, attempts, lease_ms, given_up, code in rows
    ]


async def retry(db: Database, now_ms: int, job: int | None = None) -> int:
    """Have one, or all that were given up, tried at once; returns how many. Raises: `StorageError`."""
    which, params = ("dead = 1", ()) if job is None else ("job = ?2", (job,))
    sql = f"UPDATE jobs SET due_ms = ?1, dead = 0, attempts = 0 WHERE {which}"  # noqa: S608  # of constants
    (result,) = await db.batch([Statement(sql, (now_ms, *params))])
    return result.changed


async def counts(db: Database) -> Sequence[tuple[str, bool, int]]:
    """How many jobs there are of each kind, and whether they were given up. Raises: `StorageError`."""
    sql = "SELECT kind, dead, count(*) FROM jobs GROUP BY kind, dead ORDER BY kind, dead"
    (found,) = await db.batch([Statement(sql)], tx=False)
    rows: list[Any] = found.rows
    return [(kind, bool(dead), count) for kind, dead, count in rows]
