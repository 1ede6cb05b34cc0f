"""What a server says of this account's quota, checked for its form; and what it last would not take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from echolia.client.database import Database
from echolia.client.reports import Allowance, Held, Quota
from echolia.client.session import Refused
from echolia.core.errors import EcholiaError
from echolia.core.runs import MAX_COUNTER

SHARES: Final = ("bytes", "objects", "changes_per_minute")
_HELD: Final = "held"


def read_quota(status: Mapping[str, Any]) -> Quota | None:
    """The quota in a server's status, or None if it tells none. Raises `server_invalid`."""
    told = status.get("quota")
    if told is None:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("tier"), str):
        raise EcholiaError("server_invalid", "expected a quota")
    return Quota(told["tier"], *(_allowance(told.get(name)) for name in SHARES))


def _allowance(told: object) -> Allowance:
    if not isinstance(told, dict):
        raise EcholiaError("server_invalid", "expected a quota")
    used, limit, reserve = (number(told, name) for name in ("used", "limit", "reserve"))
    if used is None or (limit is None and told.get("limit") is not None):
        raise EcholiaError("server_invalid", "expected numbers in a quota")
    return Allowance(used, limit, reserve or 0)


def number(fields: Mapping[str, Any], name: str) -> int | None:
    """A whole number that a server told, or None if it told none."""
    value = fields.get(name)
    return value if type(value) is int and 0 <= value <= MAX_COUNTER else None


def held_by(refused: Refused) -> Held:
    """Why a push was refused, as far as the server told it in known words."""
    what = refused.members.get("what")
    if what not in SHARES:
        what = ""
    used, limit, reserve = (number(refused.members, name) for name in ("used", "limit", "reserve"))
    allowance = None if used is None or limit is None else Allowance(used, limit, reserve or 0)
    return Held(refused.code, what, allowance, refused.retry_after_s)


def keep_held(database: Database, held: Held | None) -> None:
    """Remember what is held back, for `kept_held`; nothing is written where that is as before."""
    text = None if held is None else json.dumps(asdict(held))
    if text != database.get(_HELD):
        database.put(_HELD, text)


def kept_held(database: Database) -> Held | None:
    """What the last sync held back, if there was anything."""
    kept = database.get(_HELD)
    if kept is None:
        return None
    fields = json.loads(kept)
    allowance = fields.pop("allowance")
    return Held(**fields, allowance=allowance and Allowance(**allowance))
