"""How a failure is told: one line for people, or one JSON object, on standard error."""

from __future__ import annotations

import errno
import json

import click

from echolia.core.errors import EcholiaError

JSON_KEY = "echolia.json"
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def report(error: EcholiaError | OSError) -> None:
    """Write the failure to standard error, in JSON where the command was asked for JSON."""
    code, message = describe(error)
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(JSON_KEY):
        click.echo(json.dumps({"error": {"code": code, "message": message}}), err=True)
    else:
        click.echo(f"echolia: {message} [{code}]", err=True)


def report_usage(error: click.ClickException) -> None:
    """Write to standard error in JSON what click would tell in its own words."""
    click.echo(json.dumps({"error": {"code": "usage", "message": error.format_message()}}), err=True)


def describe(error: EcholiaError | OSError) -> tuple[str, str]:
    """A failure's stable code and what to tell people: what happened and what to do."""
    if isinstance(error, OSError):
        if error.errno in _DISK_FULL:
            return describe(EcholiaError("disk_full"))
        name = errno.errorcode.get(error.errno or 0, "unknown").lower()
        place = f": {error.filename}" if isinstance(error.filename, str) else ""
        return f"os_{name}", f"The system refused: {(error.strerror or 'no reason given').lower()}{place}."
    detail = f" ({error.detail})" if error.detail else ""
    return error.code, f"{error.meaning.rstrip('.')}{detail}."
