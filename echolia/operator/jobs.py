"""`echolia jobs`: what the server still has to do, and what it has given up."""

from __future__ import annotations

import click

from echolia.client.cli.output import Column, local_time
from echolia.operator.directory_session import Session, with_directory
from echolia.storage import jobs as table

_MOST = 1000


@click.group(epilog="Example: echolia jobs list --dead")
def jobs() -> None:
    """What a server still has to do; a job that failed too often is given up until somebody retries it."""


@jobs.command("list", epilog="Example: echolia jobs list --dead --json")
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@click.option(
    "--most", type=click.IntRange(1, _MOST), default=100, show_default=True, help="How many at most."
)
@with_directory
async def list_jobs(session: Session, dead: bool, most: int) -> None:
    """List jobs, the one that is due first at the top."""
    found = await table.listed(session.directory, session.now_ms, most, dead=dead)
    if session.out.json:
        session.out.result({"jobs": [each._asdict() for each in found]}, "")
        return
    columns = [Column("job"), Column("kind"), Column("due"), Column("state"), Column("failed with")]
    rows = [[str(each.id), each.kind, local_time(each.due_ms), _state(each), each.code] for each in found]
    session.out.table(columns, rows)


@jobs.command(epilog="Example: echolia jobs retry 17")
@click.argument("job", type=click.IntRange(1), required=False)
@with_directory
async def retry(session: Session, job: int | None) -> None:
    """Have a job tried at once, or all that were given up."""
    count = await table.retry(session.directory, session.now_ms, job)
    session.out.result({"jobs": count}, f"{count} to be tried again.")


def _state(job: table.Listed) -> str:
    if job.dead:
        return f"given up after {job.attempts} tries"
    if job.running:
        return "running"
    return f"failed {job.attempts} times" if job.attempts else "waits"
