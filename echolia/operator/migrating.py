"""`echolia db migrate`."""

from __future__ import annotations

from typing import Final

import click

from echolia.operator.session import Session, with_operator
from echolia.storage.operating.service import Value

_PAUSED: Final = {
    "operator": "Paused. Databases wait at the version that is served: --resume goes on.",
    "canary": "Paused, because too many of them failed. Databases wait at the version that is served.",
}


@click.command(epilog="Example: echolia db migrate --status")
@click.argument("user", required=False)
@click.option("--status", "what", flag_value="status", help="Only tell how it stands.")
@click.option("--pause", "what", flag_value="pause", help="Migrate nothing that can wait; remembered.")
@click.option("--resume", "what", flag_value="resume", help="Go on, if need be with a new canary.")
@click.option("--retry-failed", "what", flag_value="retry", help="Have those that failed tried again.")
@with_operator
async def migrate(session: Session, user: str | None, what: str | None) -> None:
    """Bring databases to this version: all that are behind, or that of USER, though all are paused.

    A server does so by itself, slowly, and at once for whoever comes. A few are first; where too many of them
    fail it pauses. One that fails is left alone, and its account told so (database_quarantined). It may be
    interrupted anywhere. Ends with 1 while any is behind.
    """
    if user is not None and what is not None:
        raise click.UsageError("USER goes with no option.")
    operator = session.operator
    if what == "status":
        stands = await operator.migration()
    elif what in ("pause", "resume"):
        stands = await operator.pause_migration(what == "pause")
    elif what == "retry":
        stands = await operator.retry_migration()
    else:
        stands = await session.told(operator.migrate(user))
    session.out.result(stands, "\n".join(_words(stands)))
    if what is None and (user is None and (stands["behind"] or stands["quarantined"])):
        raise SystemExit(1)


def _words(stands: Value) -> list[str]:
    """How the migration stands, in words."""
    counts = f"{stands['behind']} databases are behind, {stands['quarantined']} failed and are left alone"
    lines = [f"Version {stands['version']}: {counts}; {stands['tried']} were tried."]
    if stands["paused"] is not None:
        lines.append(_PAUSED[stands["paused"]])
    lines += [f"{count} wait and will be tried again [{code}]" for code, count in stands["waiting"].items()]
    lines += [f"{each['account']} failed [{each['code']}]" for each in stands["failures"]]
    return lines
