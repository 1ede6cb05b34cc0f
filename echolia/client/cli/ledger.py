"""The command that says what the server knows of this account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from echolia.client.cli.output import Column, local_time
from echolia.client.cli.session import Session, with_session
from echolia.core.ids import ID_BYTES, unb64

if TYPE_CHECKING:
    from echolia.client import Fact

NOT_COUNTED: Final = "not counted"
# 16 bytes in base64url: an id, which commands show in hexadecimal.
_ID: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")


@click.command(epilog="Example: echolia ledger")
@with_session
async def ledger(session: Session) -> None:
    """Say what the server knows of this account: all of it, asked of the server itself, and why it is needed.

    Contents are not among it: the server has them sealed. What it could conclude from the rest stands in
    spec/threat-model.md.
    """
    async with session.device() as device:
        facts = await device.ledger()
    if session.out.json:
        session.out.result({"facts": [fact_json(fact) for fact in facts]}, "")
        return
    columns = [
        Column("what", wraps=True),
        Column("value", wraps=True),
        Column("why it is needed", wraps=True),
    ]
    session.out.table(columns, [[fact.what, shown(fact.value), fact.why] for fact in facts])
    session.out.aside(
        "This is the server's own word. Texts, titles and names are sealed: it has none to tell."
    )


def fact_json(fact: Fact) -> dict[str, Any]:
    """A fact in JSON, as the server gave it."""
    return {"place": fact.place, "what": fact.what, "value": fact.value, "why": fact.why}


def shown(value: Any, name: str = "", between: str = "; ") -> str:
    """A value for people; `name` is what it is called in its map, `between` parts what stands in a map."""
    if value is None:
        return NOT_COUNTED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return unb64(value, ID_BYTES).hex() if _ID.fullmatch(value) else value
    if isinstance(value, Mapping):
        return between.join(_named(shown(key), inner) for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(shown(inner) for inner in value) or "none"
    if name.endswith("_ms") and isinstance(value, int):
        return local_time(value)
    return str(value)


def _named(name: str, value: Any) -> str:
    if name == "bytes" and isinstance(value, int):
        return f"{value:,} bytes"
    told = shown(value, name, ", ")
    if name in {"count", "at_ms"}:
        return told
    return f"{name.removesuffix('_ms')}: {told}"
