"""How the commands tell of quotas: what is full, how full it is, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from echolia.core.errors import CODES, EcholiaError

if TYPE_CHECKING:
    from echolia.client import Allowance, Held, Quota

_NEARLY_FULL_PERCENT: Final = 90
_NAMES: Final = {"bytes": "storage", "objects": "objects", "changes_per_minute": "changes a minute"}


def quota_json(quota: Quota | None) -> dict[str, Any] | None:
    """The quota for programs."""
    return None if quota is None else asdict(quota)


def held_json(held: Held | None) -> dict[str, Any] | None:
    """What is held back, for programs."""
    return None if held is None else asdict(held)


def hints(quota: Quota | None) -> list[str]:
    """A line for each thing that lasts and is used up by nine tenths or more."""
    if quota is None:
        return []
    return [
        f"{allowance.percent} % used of the account's {_NAMES[what]}: {_amounts(what, allowance)}."
        " Delete what you need no longer, or ask for more."
        for what, allowance in (("bytes", quota.bytes), ("objects", quota.objects))
        if allowance.percent >= _NEARLY_FULL_PERCENT
    ]


def held_line(held: Held) -> str:
    """What is held back, for people."""
    return f"{CODES.get(held.code, 'The server takes no more.')} {_why(held)} [{held.code}]"


def held_error(held: Held) -> EcholiaError:
    """The same as the failure that a command ends with: what it was asked to do is not all done."""
    return EcholiaError(held.code, _why(held).rstrip("."))


def _why(held: Held) -> str:
    parts = []
    if held.allowance is not None and held.what:
        parts.append(f"{_NAMES[held.what]}: {_amounts(held.what, held.allowance)}")
    parts.append(f"{held.waiting} {'change waits' if held.waiting == 1 else 'changes wait'} here")
    if held.code in {"rate_limited", "storage_full"}:
        parts.append(f"sync again in {max(1, round(held.retry_after_s))} s")
    return "; ".join(parts) + "."


def _amounts(what: str, allowance: Allowance) -> str:
    used, limit = (_amount(what, number or 0) for number in (allowance.used, allowance.limit))
    return f"{used} of {limit}"


def _amount(what: str, number: int) -> str:
    if what != "bytes":
        return f"{number:,}"
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number} bytes"
